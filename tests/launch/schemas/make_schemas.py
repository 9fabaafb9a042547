"""Writes the schemas of this folder from the Python packages that their projects publish.

  pip install kubeflow-trainer-api==2.3.0 skypilot==0.14.1   # in an environment of its own
  python make_schemas.py

jobset.json and trainjob.json hold the definitions of JobSet (jobset.x-k8s.io/v1alpha2), of TrainJob
(trainer.kubeflow.org/v1alpha1) and of Kubernetes' pods in kubeflow-trainer-api 2.3.0, generated
from the projects' API definitions; skypilot.json is the schema of a task in skypilot 0.14.1. Both
packages have the Apache License 2.0. What manifests do not use is left out, so it is refused; texts
are left out too, and values that the documentation lists became enumerations.
"""

import json
import re
from pathlib import Path

import kubeflow_trainer_api.models as models
from sky.utils.schemas import get_resources_schema, get_task_schema

USED = {
    "JobSetSpec": "failurePolicy network replicatedJobs startupPolicy successPolicy suspend",
    "ObjectMeta": "name namespace labels annotations",
    "PodSpec": "containers nodeSelector restartPolicy terminationGracePeriodSeconds volumes "
    "serviceAccountName tolerations",
    "PodSpecPatch": "containers nodeSelector terminationGracePeriodSeconds volumes tolerations",
    "Container": "name image command args ports env resources volumeMounts",
    "ContainerPatch": "name env volumeMounts",
    "Volume": "name emptyDir persistentVolumeClaim",
    "EnvVarSource": "fieldRef",
    "ResourceRequirements": "limits requests",
    "JobSpec": "parallelism completions completionMode backoffLimit podFailurePolicy template "
    "activeDeadlineSeconds",
    "TrainJobSpec": "runtimeRef trainer runtimePatches suspend",
}
ENUMERATIONS = {
    ("PodFailurePolicyRule", "action"): "FailJob FailIndex Ignore Count",
    ("PodFailurePolicyOnExitCodesRequirement", "operator"): "In NotIn",
    ("FailurePolicyRule", "action"): "FailJobSet RestartJobSet RestartJobSetAndIgnoreMaxRestarts "
    "RestartJob RestartJobAndIgnoreMaxRestarts",
    ("JobSpec", "completionMode"): "Indexed NonIndexed",
    ("PodSpec", "restartPolicy"): "Never OnFailure Always",
}
TEXTS = ("description", "title", "default")


def trim(node):
    """Returns a schema without texts, null alternatives and prefixes of names."""
    if isinstance(node, list):
        return [trim(item) for item in node]
    if not isinstance(node, dict):
        return node
    options = [item for item in node.get("anyOf", ()) if item != {"type": "null"}]
    if len(options) == 1:
        return trim(options[0])
    return {key: trim(value) for key, value in node.items() if key not in TEXTS or key == "title"}


def short(name):
    return re.sub(r"^\w*?V\d(alpha\d)?(?=[A-Z])", "", name)


def clean(name, schema):
    """Returns the schema of one definition with only what manifests use."""
    properties = {key: trim(value) for key, value in schema.get("properties", {}).items()}
    for value in properties.values():
        value.pop("title", None)
    kept = USED.get(name, "").split() or [key for key in properties if key != "status"]
    properties = {key: properties[key] for key in kept}
    for (owner, key), values in ENUMERATIONS.items():
        if owner == name:
            properties[key] = {"enum": values.split()}
    required = [key for key in schema.get("required", ()) if key in properties]
    result = {"type": "object", "properties": properties, "additionalProperties": False}
    return result | ({"required": required} if required else {})


def collect(model):
    """Returns the definitions that a model reaches, by short name."""
    whole = model.model_json_schema(by_alias=True)
    definitions, todo = {}, [(short(model.__name__), whole)]
    while todo:
        name, schema = todo.pop()
        if name in definitions:
            continue
        definitions[name] = (
            {"type": ["string", "integer", "number"]}
            if name.endswith("Quantity")
            else clean(name, schema)
        )
        for reference in re.findall(r'"#/\$defs/(\w+)"', json.dumps(definitions[name])):
            todo.append((short(reference), whole["$defs"][reference]))
    text = re.sub(
        r'"#/\$defs/(\w+)"', lambda m: f'"#/$defs/{short(m[1])}"', json.dumps(definitions)
    )
    return json.loads(text)


def main():
    here = Path(__file__).parent
    for file, name in (("jobset", "JobsetV1alpha2JobSet"), ("trainjob", "TrainerV1alpha1TrainJob")):
        definitions = collect(getattr(models, name))
        schema = {"$ref": f"#/$defs/{short(name)}", "$defs": dict(sorted(definitions.items()))}
        (here / f"{file}.json").write_text(json.dumps(schema, indent=1) + "\n")
    task = trim(get_task_schema())
    kept = "name num_nodes workdir resources file_mounts envs setup run".split()
    task["properties"] = {key: task["properties"][key] for key in kept}
    resources = trim(get_resources_schema())
    kept = "infra accelerators use_spot job_recovery image_id disk_size".split()
    resources["properties"] = {key: resources["properties"][key] for key in kept}
    task["properties"]["resources"] = resources
    (here / "skypilot.json").write_text(json.dumps(task, indent=1) + "\n")


if __name__ == "__main__":
    main()
