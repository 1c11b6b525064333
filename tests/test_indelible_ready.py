"""What `up` prints can be pasted."""

import subprocess

from indelible.ready import Ready, Sample, as_text, audit_log_url, sample_curls

TOKEN = "eyJhbGciOi.J9.x-_y"  # noqa: S105  # of nobody
URL = "http://127.0.0.1:8250"


def test_the_lines_to_paste_ask_with_the_token_that_is_printed_once() -> None:
    ready = Ready(
        seconds=9,
        home="/h",
        opensearch_url="https://127.0.0.1:9250",
        opensearch_ca_file=None,
        web_url=URL,
        audit_log_url=audit_log_url(URL),
        example_url=None,
        organization_id="org_a",
        token=TOKEN,
        sign_in_url=f"{URL}/sign-in/once?ticket=t",
        curls=sample_curls(URL, TOKEN),
        search="indelible search x",
    )
    text = as_text(ready, Sample("Ana", "org_a", "A", TOKEN, f"{URL}/t", 8))
    assert text.count(TOKEN) == 1
    pasted = [line for line in text.splitlines() if line.startswith(("  TOKEN=", "  curl "))]
    script = "\n".join(['curl() { printf "%s|" "$@"; }', *pasted])
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    header = f"-sS|-H|Authorization: Bearer {TOKEN}|"
    assert done.stdout == "".join(
        f"{header}{audit_log_url(URL)}?{query}|"
        for query in ("limit=5", "action=member.role_changed&limit=5")
    )
