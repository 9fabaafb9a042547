"""Tasks of worker processes, run in the process that asks: a case then costs milliseconds."""

from dfjax.data.faces.worker_pool import Outcome
from dfjax.errors import InputError


def run_tasks(function, tasks, **limits):
    """As `worker_pool.run_tasks`; an exception other than `InputError` is the case's failure."""
    for position, task in enumerate(tasks):
        try:
            yield Outcome(position, function(task), None)
        except InputError as error:
            yield Outcome(position, None, str(error))
