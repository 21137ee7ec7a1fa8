"""`tickgate migrate`, as somebody types it."""

import pytest
from click.testing import CliRunner

from gateway.commands.migrate import migrate


@pytest.fixture
def run(tmp_path):
    def run(*arguments, answer="", **environ):
        options = () if "--help" in arguments else ("--data", str(tmp_path))
        result = CliRunner().invoke(migrate, [*arguments, *options], input=answer, env=environ)
        return result.exit_code, result.output.replace(str(tmp_path), "DATA")

    return run


def test_steps_are_done_and_undone(run):
    file = "the file DATA/metadata.sqlite"
    step = "0001 users, sessions, keys, market watch, symbols"
    behind = f"{file} is at nothing, 0001 is the newest: run `tickgate migrate up`\nto do: {step}\n"

    assert run("status") == (1, behind)
    assert run("up") == (0, f"done: {step}\n{file} is at 0001, up to date\n")
    assert run("up") == (0, f"{file} is at 0001, up to date\n")
    assert run("status") == (0, f"{file} is at 0001, up to date\n")
    assert run("down", "--yes") == (0, f"undone: {step}\n{behind}")


def test_nothing_is_undone_without_a_yes(run):
    run("up")

    code, said = run("down", answer="n\n")

    assert (code, "with all they hold" in said) == (1, True)
    assert run("status")[0] == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mongodb://a:s3cret@b/c", "Error: DATABASE_URL: mongodb:// is not a database we know"),
        ("postgres://a:s3cret@127.0.0.1:1/db", "Error: Postgres at 127.0.0.1:1/db cannot be used: "),
    ],
)
@pytest.mark.parametrize("command", [("up",), ("down", "--yes"), ("status",)])
def test_what_cannot_be_used_is_one_line(run, command, url, said):
    code, output = run(*command, DATABASE_URL=url)

    assert code == 1
    assert output.startswith(said)
    assert output.count("\n") == 1
    assert "s3cret" not in output


def test_a_step_that_does_not_exist_is_one_line(run):
    run("up")

    code, output = run("down", "7", "--yes")

    assert (code, output) == (1, "Error: cannot go from 0001 to 7: Can't locate revision identified by '7'\n")
