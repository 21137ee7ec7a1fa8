"""`tickgate user` and `tickgate key` as an operator meets them."""

import asyncio

import pytest
from account_rig import QUICK, shown
from click.testing import CliRunner, Result

from gateway.accounts import passwords
from gateway.accounts.accounts import Accounts, Rules
from gateway.accounts.errors import NotLoggedIn, WrongLogin
from gateway.accounts.identity import Identity
from gateway.accounts.notices import Revoked, parse_notice
from gateway.cache.memory import MemoryCache
from gateway.commands.keys import key
from gateway.commands.users import user
from gateway.metadata.database import open_database
from processors.bus import BusAddress, connect
from protocol import subjects

PASSWORD = "correct horse"


@pytest.fixture
def tickgate(monkeypatch: pytest.MonkeyPatch, logs_put_back: None, tmp_path):
    """Run a command on a data folder of its own, in an environment that holds nothing of ours."""
    monkeypatch.setattr(passwords, "PasswordHasher", lambda: QUICK)  # what hashes cost is not shown here

    def run(*arguments: str, stdin: str | bytes | None = None, **environ: str) -> Result:
        monkeypatch.setattr("gateway.config.flags.environ", {"DATA_FOLDER": str(tmp_path)} | environ)
        group, *rest = arguments
        commands = {"user": user, "key": key}
        return CliRunner().invoke(commands[group], rest, input=stdin, catch_exceptions=False)

    return run


@pytest.fixture
def ann(tickgate) -> str:
    assert tickgate("user", "add", "ann", "--password-stdin", stdin=f"{PASSWORD}\n").exit_code == 0
    return "ann"


@pytest.fixture
def gateway(tmp_path, nats_url):
    """Do something with the accounts of a gateway that runs on the same folder."""

    def run(work):
        async def go():
            async with (
                open_database(f"sqlite:///{tmp_path}/metadata.sqlite") as database,
                connect(BusAddress([nats_url]), "gateway") as bus,
            ):
                return await work(Accounts(database, MemoryCache(), bus, Rules()))

        return asyncio.run(go())

    return run


async def logged_in(accounts: Accounts, password: str = PASSWORD) -> Identity:
    return (await accounts.login("ann", password, "192.0.2.1", "")).identity


def test_a_user_who_was_added_can_log_in(tickgate, gateway):
    added = tickgate(
        "user", "add", "ann", "--password-stdin", "--symbols", "btc*, eth*", stdin=f"{PASSWORD}\r\nmore"
    )
    assert (added.exit_code, added.output) == (0, "added ann, who may see BTC*,ETH*\n")
    assert gateway(logged_in).rule.allows("BTCUSDT")


def test_the_data_folder_may_be_given(tickgate, tmp_path):
    folder = tmp_path / "elsewhere"
    tickgate("user", "add", "ann", "--password-stdin", "--data", str(folder), stdin=PASSWORD)
    assert "ann" in tickgate("user", "list", "--data", str(folder)).output
    assert "ann" not in tickgate("user", "list").output


@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        ("ann", PASSWORD, "there is a user 'ann' already"),
        ("ANN", PASSWORD, "there is a user 'ANN' already"),
        ("", PASSWORD, "the name"),
        ("a\nb", PASSWORD, "the name"),
        ("a\x1b[31m", PASSWORD, "the name"),
        ("x" * 256, PASSWORD, "the name"),
        ("bob", "short", "a password has"),
        ("bob", "", "a password has"),
        ("bob", b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe", "the password is not in UTF-8"),
    ],
)
def test_what_cannot_be_added_is_said_in_one_line(tickgate, ann, name, password, reason):
    result = tickgate("user", "add", name, "--password-stdin", stdin=password)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"Error: {reason}")
    assert result.stdout == ""


def test_without_a_terminal_the_password_has_to_come_by_stdin(tickgate):
    result = tickgate("user", "add", "ann")
    assert result.exit_code == 1
    assert "--password-stdin" in result.stderr


def test_at_a_terminal_the_password_is_asked_for_twice(tickgate, monkeypatch, gateway):
    asked = []

    def prompt(text, **how):
        asked.append((text, how))
        return PASSWORD

    monkeypatch.setattr("gateway.commands.users._is_terminal", lambda: True)
    monkeypatch.setattr("click.prompt", prompt)
    assert tickgate("user", "add", "ann").exit_code == 0
    assert asked == [("Password", {"hide_input": True, "confirmation_prompt": "Again"})]
    gateway(logged_in)


def test_users_are_listed_with_their_state(tickgate, ann):
    tickgate("user", "add", "币安用户", "--password-stdin", "--symbols", "BTC*", stdin=PASSWORD)
    tickgate("user", "disable", "ann")
    head, *rows = tickgate("user", "list").output.splitlines()
    assert head.split() == ["NAME", "STATE", "SYMBOLS", "SINCE"]
    assert [row.split()[:3] for row in rows] == [["ann", "disabled", "every"], ["币安用户", "active", "BTC*"]]


def test_who_is_disabled_is_out_until_enabled(tickgate, ann, gateway):
    async def refused(accounts: Accounts) -> None:
        with pytest.raises(WrongLogin):
            await logged_in(accounts)

    assert tickgate("user", "disable", "ANN").output == "disabled ANN\n"
    gateway(refused)
    assert tickgate("user", "enable", "ann").output == "enabled ann\n"
    gateway(logged_in)


def test_a_replaced_password_ends_all_sessions(tickgate, ann, gateway):
    gateway(logged_in)
    replaced = tickgate("user", "passwd", "ann", "--password-stdin", stdin="battery staple")
    assert replaced.output == "replaced the password of ann; 1 sessions have ended\n"
    gateway(lambda accounts: logged_in(accounts, "battery staple"))


def test_the_rule_of_a_user_is_shown_and_changed(tickgate, ann, gateway):
    assert tickgate("user", "rules", "ann").output == "ann may see every symbol\n"
    assert tickgate("user", "rules", "ann", "--symbols", "btc*").output == "ann may see BTC*\n"
    assert not gateway(logged_in).rule.allows("ETHUSDT")
    assert tickgate("user", "rules", "ann", "--symbols", "all").output == "ann may see every symbol\n"


@pytest.mark.parametrize("patterns", ["", ",", "BTC*,", "BTC ETH"])
def test_patterns_that_are_none_open_nothing(tickgate, ann, patterns):
    tickgate("user", "rules", "ann", "--symbols", "BTC*")
    assert tickgate("user", "rules", "ann", "--symbols", patterns).exit_code == 1
    assert tickgate("user", "rules", "ann").output == "ann may see BTC*\n"


def test_a_key_is_printed_once_and_lets_its_program_in(tickgate, ann, gateway):
    made = tickgate("key", "add", "ann", "--name", "trading bot", "--scope", "read", "--scope", "watch")
    text = made.output.strip()
    identity = gateway(lambda accounts: accounts.identify(shown(text)))
    assert (identity.user, identity.scopes) == ("ann", {"read", "watch"})
    listed = tickgate("key", "list").output
    assert identity.key_id in listed
    assert "trading bot" in listed
    assert text not in listed


def test_a_key_is_not_called_what_a_terminal_would_obey(tickgate, ann):
    result = tickgate("key", "add", "ann", "--name", "a\x1b[2Jb")
    assert (result.exit_code, result.stdout) == (1, "")


def test_a_key_may_have_an_end(tickgate, ann):
    tickgate("key", "add", "ann", "--name", "bot", "--days", "30")
    row = tickgate("key", "list").output.splitlines()[1].split()
    assert row[2:5] == ["bot", "read", "active"]
    assert row[-1] > row[-3]


def test_a_revoked_key_is_worth_nothing(tickgate, ann, gateway):
    text = tickgate("key", "add", "ann", "--name", "bot").output.strip()
    key_id = text.split("_")[1]
    assert tickgate("key", "revoke", key_id).output == f"revoked {key_id}\n"
    assert "revoked" in tickgate("key", "list").output

    async def refused(accounts: Accounts) -> None:
        with pytest.raises(NotLoggedIn):
            await accounts.identify(shown(text))

    gateway(refused)


@pytest.mark.parametrize(
    "arguments",
    [
        ("user", "disable", "nobody"),
        ("user", "rules", "nobody"),
        ("user", "passwd", "nobody", "--password-stdin"),
        ("key", "add", "nobody", "--name", "x"),
        ("key", "revoke", "000000000000"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(tickgate, arguments):
    result = tickgate(*arguments, stdin=PASSWORD)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: there is no ")
    assert len(result.stderr.splitlines()) == 1


def test_a_database_that_cannot_be_used_is_said_in_one_line(tickgate):
    result = tickgate("user", "list", DATABASE_URL="postgresql://u:hidden@127.0.0.1:1/x")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert "hidden" not in result.stderr


def test_gateways_that_run_are_told(tickgate, ann, gateway, nats_url):
    async def disable(accounts: Accounts) -> tuple[Identity, Revoked]:
        identity, heard = await logged_in(accounts), asyncio.Queue()
        await accounts._bus.subscribe(subjects.CONTROL_ACCOUNTS, lambda _, payload: heard.put_nowait(payload))
        await accounts._bus.flush()
        result = await asyncio.to_thread(tickgate, "user", "disable", "ann", NATS_URL=nats_url)
        assert result.stderr == ""
        async with asyncio.timeout(5):
            return identity, parse_notice(await heard.get())

    identity, notice = gateway(disable)
    assert notice == Revoked(user=identity.user_id, hashes=(identity.digest,))


def test_that_gateways_could_not_be_told_is_said(tickgate, ann, monkeypatch):
    monkeypatch.setattr("gateway.commands.register.BUS_TIMEOUT_S", 0.2)
    result = tickgate("user", "disable", "ann", NATS_URL="nats://127.0.0.1:1")
    assert result.exit_code == 0
    assert "within a minute" in result.stderr
