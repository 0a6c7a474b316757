"""What is shown of a log when the server did not come up."""

from distillex_serving.triton_log import reasons

REFUSED = (
    r'E1127 server.cc:692] "ERROR: Failed to create instance: TritonModelException: student cannot start: a "b" c'
    r'\n\nAt:\n  /emission_model.py(47): initialize\n"'
)
ABOVE = REFUSED.replace("ERROR", "Invalid argument: ensemble 'extractor' depends on 'student': Internal")


def test_a_models_own_words_stand_alone_and_once():
    lines = ["I1127 server.cc:1] starting", 'E1127 server.cc:241] "no CUDA"', REFUSED, REFUSED, ABOVE]
    assert reasons(lines) == 'student cannot start: a "b" c'
    other = REFUSED.replace("student cannot", "decode cannot")
    assert reasons([REFUSED, other]).splitlines() == ['student cannot start: a "b" c', 'decode cannot start: a "b" c']


def test_without_such_words_the_last_errors_are_shown_and_without_errors_the_last_lines():
    lines = [f"I1127 step {i}" for i in range(20)]
    assert reasons(lines).splitlines() == lines[-12:]
    assert reasons(["E1127 out of memory", *lines]) == "E1127 out of memory"
    assert reasons([]) == ""
