"""The commands that a person types, typed."""

import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from tests.support.platform import RunningPlatform

Fresh = Callable[..., RunningPlatform]


def haar(*arguments: str, environment: dict[str, str] | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HAAR_"))}
    return subprocess.run(
        [sys.executable, "-m", "haar", *arguments],
        capture_output=True,
        text=True,
        env=env | (environment or {}),
        cwd=cwd,
        timeout=120,
        check=False,
    )


def test_version_and_help() -> None:
    assert re.fullmatch(r"haar \d+\.\d+\.\d+\n", haar("--version").stdout)
    assert "doctor" in haar("--help").stdout and "doctor" in haar().stdout


def test_defaults_are_shown() -> None:
    shown = haar("start", "--help", environment={"COLUMNS": "200"}).stdout
    assert "default: 4566" in shown and "default: data" in shown and "default: bubblewrap" in shown


@pytest.mark.parametrize("command", [["env"], ["start"], ["doctor"], ["backup", "file"], ["usage"], ["cert"]])
def test_a_setting_that_cannot_be_is_said_by_every_command(tmp_path: Path, command: list[str]) -> None:
    done = haar(*command, cwd=tmp_path, environment={"HAAR_PORT": "many"})
    assert (done.returncode, done.stderr) == (1, "haar: HAAR_PORT: 'many' is not a whole number\n")


def test_commands_on_a_platform_that_has_stopped_say_so(fresh_platform: Fresh) -> None:
    running = fresh_platform()
    running.stop()
    where = ["--data", str(running.data)]
    shown = haar("env", *where)
    assert shown.returncode == 0 and f"nothing answers at {running.endpoint} now" in shown.stderr
    for command in (["demo"], ["invoke", "f"], ["logs", "f"], ["usage"], ["replay"]):
        done = haar(*command, *where)
        assert done.returncode == 1 and "start the platform first" in done.stderr and "Traceback" not in done.stderr


def test_env_prints_what_clients_need(platform: RunningPlatform) -> None:
    done = haar("env", "--data", str(platform.data))
    assert done.returncode == 0
    assert f"export AWS_ENDPOINT_URL={platform.endpoint}\n" in done.stdout
    assert "export AWS_SECRET_ACCESS_KEY=" in done.stdout and "unset AWS_SESSION_TOKEN" in done.stdout
    shown = subprocess.run(
        ["bash", "-c", f'eval "{done.stdout}"; echo $AWS_ACCESS_KEY_ID $AWS_DEFAULT_REGION'], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == [platform.described["access_key_id"], "us-east-1"]


def test_env_finds_an_aws_cli_or_says_how_to_get_one(platform: RunningPlatform, tmp_path: Path) -> None:
    bare = {"PATH": str(tmp_path)}
    assert f'export PATH="$PATH":{Path(sys.executable).parent}\n' in haar("env", "--data", str(platform.data), environment=bare).stdout
    (tmp_path / "python").symlink_to(sys.executable)
    code = "import sys; sys.executable = sys.argv.pop(1); from haar.cli import main; main()"
    command = [sys.executable, "-c", code, str(tmp_path / "python"), "env", "--data", str(platform.data)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | bare, check=True)
    assert "export PATH" not in done.stdout and f"{tmp_path / 'python'} -m pip install awscli" in done.stderr
    (tmp_path / "aws").touch(0o755)
    assert "PATH" not in haar("env", "--data", str(platform.data), environment=bare).stdout


def test_env_writes_a_profile_and_keeps_the_others(platform: RunningPlatform, tmp_path: Path) -> None:
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    config.write_text("[profile other]\nregion = eu-west-1\n")
    files = {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(credentials)}
    assert haar("env", "--data", str(platform.data), "--profile", "mine", environment=files).returncode == 0
    assert "[profile other]" in config.read_text() and f"endpoint_url = {platform.endpoint}" in config.read_text()
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    command = [sys.executable, "-m", "awscli", "--profile", "mine", "sts", "get-caller-identity", "--query", "Account", "--output", "text"]
    shown = subprocess.run(command, capture_output=True, text=True, env=os.environ | files, check=True)
    assert shown.stdout.strip() == platform.account


def test_files_that_cannot_be_had_are_named(platform: RunningPlatform) -> None:
    done = haar("env", "--data", str(platform.data), "--profile", "mine", environment={"AWS_CONFIG_FILE": "/proc/nowhere/config"})
    assert done.returncode == 1 and re.fullmatch(r"haar: /proc/nowhere: .+\n", done.stderr)


def test_a_profile_leaves_the_rest_of_the_files_as_it_is(platform: RunningPlatform, tmp_path: Path) -> None:
    real, config, credentials = tmp_path / "real", tmp_path / "config", tmp_path / "credentials"
    real.write_text("# mine\n[profile mine]\nregion = old\n# keep me\ns3 =\n  region = nested\n\n[profile other]\nregion = eu-west-1\n")
    config.symlink_to(real)
    files = {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(credentials)}
    for _ in range(2):
        assert haar("env", "--data", str(platform.data), "--profile", "mine", environment=files).returncode == 0
    assert real.read_text() == (
        f"# mine\n[profile mine]\nregion = us-east-1\nendpoint_url = {platform.endpoint}\n# keep me\ns3 =\n  region = nested\n\n"
        "[profile other]\nregion = eu-west-1\n"
    )
    assert config.is_symlink() and credentials.read_text().count("[mine]") == 1
    done = haar("env", "--data", str(platform.data), "--profile", "a b]", environment=files)
    assert done.returncode == 1 and "cannot be a profile's name" in done.stderr and "a b" not in real.read_text()


def test_secrets_are_the_owner_s(platform: RunningPlatform) -> None:
    assert stat.S_IMODE(platform.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((platform.data / "root.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((platform.data / "haar.db").stat().st_mode) == 0o600
    assert platform.described["secret_access_key"] not in platform.log.read_text()


def test_env_without_a_platform_says_what_to_do(tmp_path: Path) -> None:
    done = haar("env", "--data", str(tmp_path))
    assert done.returncode == 1 and "haar start" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "99999"], "99999 is not a port"),
        (["--account", "12"], "12 digits"),
        (["--sandbox", "docker"], "bubblewrap, none"),
        (["--region", "a region"], "not a region's name"),
        (["--store", "mysql://x"], "postgresql://"),
        (["--data", "/proc/nowhere"], "/proc/nowhere"),
        (["--host", "203.0.113.1", "--port", "0"], "cannot listen on 203.0.113.1:0: Cannot assign requested address\n"),
        (["--host", "nowhere.invalid", "--port", "0"], "cannot listen on nowhere.invalid"),
    ],
)
def test_start_refuses_what_cannot_be(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = haar("start", *arguments, cwd=tmp_path)
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr


def test_settings_come_from_flags_then_variables_then_the_file(tmp_path: Path) -> None:
    (tmp_path / "haar.toml").write_text('account = "7"\n')
    assert "account: '7' is not 12 digits" in haar("start", cwd=tmp_path).stderr
    assert "'8'" in haar("start", cwd=tmp_path, environment={"HAAR_ACCOUNT": "8"}).stderr
    assert "'9'" in haar("start", "--account", "9", cwd=tmp_path, environment={"HAAR_ACCOUNT": "8"}).stderr
    (tmp_path / "haar.toml").write_text("prot = 1\n")
    assert "unknown setting 'prot'" in haar("start", cwd=tmp_path).stderr


def test_a_port_in_use_and_a_directory_in_use(fresh_platform: Fresh, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = haar("start", "--port", str(taken.getsockname()[1]), "--data", str(tmp_path / "other"))
        assert done.returncode == 1 and "Address already in use (another port: haar start --port" in done.stderr
        assert not list((tmp_path / "other" / "run").glob("*")), "what was made for functions is gone again"
    running = fresh_platform()
    done = haar("start", "--port", "0", "--data", str(running.data))
    assert done.returncode == 1 and "in use by another haar" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(fresh_platform: Fresh, number: signal.Signals) -> None:
    running = fresh_platform()
    assert running.process is not None
    running.process.send_signal(number)
    assert running.process.wait(60) == 0
    assert "stopped" in running.log.read_text() and "Traceback" not in running.log.read_text()


@pytest.mark.parametrize("nohup", [False, True])
def test_it_ends_with_its_terminal_unless_told_not_to(tmp_path: Path, nohup: bool) -> None:
    terminal, end = os.openpty()
    command = [sys.executable, "-m", "haar", "start", "--port", "0", "--data", str(tmp_path / "data")]
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
    try:
        running = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, start_new_session=True)
    finally:
        signal.signal(signal.SIGHUP, before)
        os.close(end)
    said = b""
    while b"get-caller-identity" not in said:  # the last that it says
        said += os.read(terminal, 1000)
    os.close(terminal)
    running.send_signal(signal.SIGHUP)
    if nohup:
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(2)
        running.terminate()
    assert running.wait(60) == 0


def test_backup_and_restore_while_it_runs(fresh_platform: Fresh, tmp_path: Path) -> None:
    running = fresh_platform()
    running.client("iam").create_user(UserName="before")
    file = tmp_path / "backup"
    assert haar("backup", str(file), "--data", str(running.data)).returncode == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = haar("backup", str(file), "--data", str(running.data))
    assert again.returncode == 1 and "exists" in again.stderr
    running.client("iam").create_user(UserName="after")
    done = haar("restore", str(file), "--data", str(running.data))
    assert done.returncode == 0, done.stderr + running.log.read_text()
    running.read_description()
    assert [user["UserName"] for user in running.client("iam").list_users()["Users"]] == ["before"]
    assert (running.data / "haar.db.before-restore").exists()
    assert running.stop() == 0


def test_restore_of_what_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "nonsense").write_bytes(b"nonsense" * 1000)
    for file in ("nonsense", "nothing"):
        done = haar("restore", str(tmp_path / file), "--data", str(tmp_path / "data"))
        assert done.returncode == 1 and str(tmp_path / file) in done.stderr and "Traceback" not in done.stderr


def test_backups_of_postgresql_are_its_own(tmp_path: Path) -> None:
    for command, tool in (("backup", "pg_dump"), ("restore", "pg_restore")):
        done = haar(command, str(tmp_path / "file"), environment={"HAAR_STORE": "postgresql://somewhere"})
        assert done.returncode == 1 and tool in done.stderr


def test_doctor_says_what_is_missing(tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    done = haar("doctor", "--data", str(tmp_path), environment={"PATH": str(bare)})
    assert done.returncode == 1
    assert "bubblewrap: not installed" in done.stdout and "apt-get install bubblewrap" in done.stdout


def test_doctor_looks_at_the_data(fresh_platform: Fresh, tmp_path: Path) -> None:
    assert f"data: {tmp_path / 'new'} is new" in haar("doctor", "--data", str(tmp_path / "new")).stdout
    (tmp_path / "file").touch()
    done = haar("doctor", "--data", str(tmp_path / "file"))
    assert done.returncode == 1 and f"{tmp_path / 'file'} is not a directory" in done.stdout
    running = fresh_platform()
    assert f"haar: is running on {running.data}" in haar("doctor", "--data", str(running.data)).stdout
    running.stop()
    assert f"data: {running.data}\n" in haar("doctor", "--data", str(running.data)).stdout
    with contextlib.closing(apsw.Connection(str(running.data / "haar.db"))) as connection:
        connection.pragma("user_version", 99)
    done = haar("doctor", "--data", str(running.data))
    assert done.returncode == 1 and "written by a newer haar" in done.stdout


def test_the_demo(platform: RunningPlatform) -> None:
    done = haar("demo", "--data", str(platform.data))
    assert done.returncode == 0, done.stderr
    assert f"hello from account {platform.account}" in done.stdout and "curl 'http://" in done.stdout
    assert haar("demo", "--data", str(platform.data)).returncode == 0, "a second time"
    assert haar("demo", "--data", str(platform.data), "--remove").returncode == 0
    assert "haar-demo" not in platform.client("dynamodb").list_tables()["TableNames"]


def test_without_a_sandbox_functions_are_refused(fresh_platform: Fresh, tmp_path: Path, make_function: Callable[..., str]) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    running = fresh_platform(environment={"PATH": str(bare)})
    name = make_function(running)
    with pytest.raises(running.client("lambda").exceptions.ClientError) as refused:
        running.client("lambda").invoke(FunctionName=name, Payload=b"{}")
    assert "--sandbox none" in refused.value.response["Error"]["Message"]
    assert "Functions need bubblewrap" in running.log.read_text(), "said at the start, too"
    running.client("dynamodb").list_tables()


def test_sandbox_none_says_that_nothing_isolates(fresh_platform: Fresh, make_function: Callable[..., str]) -> None:
    running = fresh_platform("--sandbox", "none")
    name = make_function(running)
    assert running.client("lambda").invoke(FunctionName=name, Payload=b'{"a":1}')["Payload"].read() == b'{"a": 1}'
    logs = running.client("logs")
    end = time.monotonic() + 60
    messages: list[str] = []
    while not any("isolate" in message for message in messages) and time.monotonic() < end:
        try:
            messages = [event["message"] for event in logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]]
        except logs.exceptions.ResourceNotFoundException:
            messages = []
        time.sleep(0.2)
    assert any("isolate" in message for message in messages), messages


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "http://127.0.0.1:"), ("::1", "http://[::1]:"), ("::", "http://[::1]:")])
def test_the_endpoint_is_an_address_that_clients_can_use(fresh_platform: Fresh, host: str, shown: str) -> None:
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    running = fresh_platform("--host", host)
    assert running.endpoint.startswith(shown)
    assert running.client("sts").get_caller_identity()["Account"] == running.account
