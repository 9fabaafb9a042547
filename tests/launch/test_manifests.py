"""Tests that manifests are rendered as in the golden files and are valid for their platforms."""

import importlib.util
import json
import subprocess
import sys

import jsonschema
import pytest
import yaml

HERE = __file__.rpartition("/")[0]
ARGUMENTS = ["--config=dual_stream", "--workdir=/data/run 1", "--config.data.path=it's $HOME: #1"]
COMMON = {"NAME": "run1", "IMAGE": "registry.example/dfjax:1", "HOSTS": "2", "CHIPS": "4"}
CASES = {
    "jobset_tpu": COMMON | {"TPU": "tpu-v5-lite-podslice", "TOPOLOGY": "2x4", "SLICES": "3"},
    "jobset_gpu": COMMON
    | {"GPU": "nvidia-h100-80gb", "QUEUE": "gpus", "CLAIM": "shared", "SPOT": "true"},
    "trainjob_gpu": COMMON | {"QUEUE": "gpus", "CLAIM": "shared"},
    "trainjob_plain": COMMON,
    "skypilot_gpu": COMMON | {"GPU": "H100", "BUCKET": "s3://bucket"},
}


@pytest.fixture(scope="module")
def render(root):
    spec = importlib.util.spec_from_file_location("render", root / "launch/render.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda name, variables, arguments=ARGUMENTS: module.render(
        (root / f"launch/{name}.yaml").read_text(), variables, list(arguments)
    )


def validate(kind, manifest):
    with open(f"{HERE}/schemas/{kind}.json") as file:
        jsonschema.Draft202012Validator(json.load(file)).validate(manifest)


@pytest.mark.parametrize("case", CASES)
def test_manifests_are_valid_and_as_in_the_golden_files(render, case):
    kind = case.partition("_")[0]
    text = render(kind, CASES[case])
    validate(kind, yaml.safe_load(text))
    with open(f"{HERE}/golden/{case}.yaml") as file:
        assert text == file.read()


@pytest.mark.parametrize("kind", ["jobset", "trainjob", "skypilot"])
def test_all_missing_variables_are_named(render, kind):
    with pytest.raises(ValueError, match="set in the environment") as raised:
        render(kind, {})
    required = {"NAME", "HOSTS"} | {"skypilot": {"GPU", "BUCKET", "CHIPS"}}.get(kind, {"IMAGE"})
    assert required <= set(str(raised.value).replace(",", " ").split())


def test_a_jobset_is_for_one_kind_of_accelerator(render):
    for both in ({}, {"TPU": "a", "TOPOLOGY": "2x2", "GPU": "b"}):
        with pytest.raises(ValueError, match="exactly one of TPU GPU"):
            render("jobset", COMMON | both)
    with pytest.raises(ValueError, match="environment: TOPOLOGY"):
        render("jobset", COMMON | {"TPU": "tpu-v6e-slice"})


def test_values_cannot_change_the_structure(render):
    hostile = "x\n  labels: {a: b}\n# $HOSTS ${IMAGE} 'y' \"z\""
    manifest = yaml.safe_load(
        render("jobset", COMMON | {"GPU": "g", "NAME": hostile}, ["--a=: [", "$NAME", ""])
    )
    assert manifest["metadata"] == {"name": hostile}
    (job,) = manifest["spec"]["replicatedJobs"]
    (container,) = job["template"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["--a=: [", "$NAME", ""]


def test_names_that_look_like_numbers_stay_text_and_counts_are_numbers(render):
    manifest = yaml.safe_load(render("jobset", COMMON | {"GPU": "g", "NAME": "1e3", "CLAIM": "1"}))
    assert manifest["metadata"]["name"] == "1e3"
    spec = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert spec["parallelism"] == 2
    validate("jobset", manifest)
    with pytest.raises(jsonschema.ValidationError):
        validate("jobset", yaml.safe_load(render("jobset", COMMON | {"GPU": "g", "HOSTS": "two"})))


def test_processes_of_a_jobset_find_each_other(render):
    manifest = yaml.safe_load(render("jobset", CASES["jobset_gpu"]))
    (job,) = manifest["spec"]["replicatedJobs"]
    pod = job["template"]["spec"]["template"]["spec"]
    variables = {one["name"]: one for one in pod["containers"][0]["env"]}
    # JobSet's names of pods: SET-JOB-INDEX-POD in the subdomain SET
    host = f"{manifest['metadata']['name']}-{job['name']}-0-0.{manifest['metadata']['name']}"
    port = pod["containers"][0]["ports"][0]["containerPort"]
    assert variables["DFJAX_COORDINATOR"]["value"] == f"{host}:{port}"
    assert variables["DFJAX_NUM_PROCESSES"]["value"] == str(job["template"]["spec"]["completions"])
    tpu = yaml.safe_load(render("jobset", CASES["jobset_tpu"]))["spec"]["replicatedJobs"][0]
    (container,) = tpu["template"]["spec"]["template"]["spec"]["containers"]
    assert [one["name"] for one in container["env"]] == ["DFJAX_XLA_PRESET"], "JAX finds the others"


@pytest.mark.parametrize("kind", ["trainjob", "skypilot"])
def test_commands_of_a_shell_pass_arguments_on(render, kind, tmp_path):
    program = tmp_path / "dfjax"
    program.write_text('#!/bin/sh\nenv | grep ^DFJAX_; printf "<%s>\\n" "$@"\n')
    program.chmod(0o755)
    manifest = yaml.safe_load(render(kind, CASES[f"{kind}_gpu"]))
    if kind == "trainjob":
        trainer = manifest["spec"]["trainer"]
        command = trainer["command"] + trainer["args"]
        names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
        given = dict(zip(names, ("host:8476", "2", "1")))
    else:
        command = ["bash", "-c", manifest["run"]]
        names = ("SKYPILOT_NODE_IPS", "SKYPILOT_NUM_NODES", "SKYPILOT_NODE_RANK")
        given = dict(zip(names, ("host\nother", "2", "1")))
    given["PATH"] = f"{tmp_path}:/usr/bin:/bin"
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert {
        "DFJAX_COORDINATOR=host:8476", "DFJAX_NUM_PROCESSES=2", "DFJAX_PROCESS_ID=1"
    } <= set(lines)  # fmt: skip
    assert [line for line in lines if line.startswith("<")] == [
        f"<{argument}>" for argument in ["train", *ARGUMENTS]
    ]


def test_the_program_prints_the_manifest_or_one_line(root):
    command = [sys.executable, str(root / "launch/render.py"), "trainjob.yaml", *ARGUMENTS]
    done = subprocess.run(command, env=COMMON, capture_output=True, text=True)
    with open(f"{HERE}/golden/trainjob_plain.yaml") as file:
        assert (done.returncode, done.stdout, done.stderr) == (0, file.read(), "")
    done = subprocess.run(command[:2] + ["none.yaml"], env={}, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "none.yaml" in done.stderr
