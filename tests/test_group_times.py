"""The table of how long each group of tests takes."""

from group_times import table_of


def test_each_test_counts_for_its_group_and_the_slowest_come_first(tmp_path):
    cases = [("a", "one", 1.5, "fast"), ("a", "two", 0.5, "fast"), ("b", "three", 20.0, "server")]
    written = "".join(
        f'<testcase classname="{where}" name="{name}" time="{seconds}"><properties>'
        f'<property name="group" value="{group}"/></properties></testcase>'
        for where, name, seconds, group in cases
    )
    (tmp_path / "report.xml").write_text(f"<testsuites><testsuite>{written}</testsuite></testsuites>")
    lines = [line.split() for line in table_of(tmp_path / "report.xml").splitlines()]
    assert lines[1:4] == [["fast", "2", "2.0"], ["server", "1", "20.0"], ["all", "3", "22.0"]]
    assert lines[6:] == [["20.0", "b::three"], ["1.5", "a::one"], ["0.5", "a::two"]]


def test_this_test_is_in_the_fast_group(request):
    assert request.node.get_closest_marker("fast")
    assert ("group", "fast") in request.node.user_properties
