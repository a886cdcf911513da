"""Every operation of the services' own models, with valid and forbidden input, in JSON and CBOR."""

import pytest

from harness import run_python
from test_referees import passed


@pytest.mark.parametrize("encoding", ["json", "cbor"])
def test_every_kinesis_operation_answers_as_the_service_model_says(bench, encoding):
    emulator = bench.emulator(limits=False)
    passed(run_python("kinesis_model.py", emulator.endpoint, "--encoding", encoding))


def test_the_dynamodb_operations_of_a_kcl_answer_as_the_service_model_says(bench):
    passed(run_python("dynamodb_model.py", bench.emulator().endpoint))
