"""How a kernel is started on a machine: the scripts that run there.

``START`` finds a kernel of this name or starts one, under a lock, since two notebooks may ask at
once. The kernel listens on Unix sockets in a directory that only root can enter; it runs in a
session of its own, so that no connection's end reaches it. ``INSTALL`` makes a virtual environment
beside the image's Python, which sees all of its packages and adds ipykernel: the image itself is
not changed.
"""

from __future__ import annotations

from typing import Final

from vastnb.remote.session import BEGAN

_FIND: Final = r"""
umask 077
py=PYTHON
if [ -z "$py" ]; then
for one in "$VIRTUAL_ENV/bin/python" /venv/main/bin/python /opt/conda/bin/python \
  "$(command -v python)" "$(command -v python3)"; do
[ -x "$one" ] && py=$one && break; done
fi
[ -n "$py" ] || { echo "no-python -"; exit 0; }
own="$HOME/.vastnb/venv-$(printf %s "$py" | cksum | cut -d' ' -f1)"
"""

# Prints one of: "at PID DIRECTORY", with the key on the next line; "missing PYTHON"; "no-python";
# "failed", with the end of the kernel's log.
START: Final = (
    _FIND
    + BEGAN
    + r"""
k="$HOME/.vastnb/kernels/NAME"; mkdir -p "$k"
if command -v flock >/dev/null; then exec 9>"$k/lock"; flock -w 120 9; fi
found() { echo "at $(cat "$k/pid") $(cat "$k/place") $1"; cat "$k/key"; exit 0; }
p=$(cat "$k/pid" 2>/dev/null)
[ -n "$p" ] && b=$(began "$p") && [ -n "$b" ] && [ "$b" = "$(cat "$k/began")" ] && found old
[ MAY_START = yes ] || { echo none; exit 0; }
case "$(cat "$k/place" 2>/dev/null)" in /tmp/vnbk-*) rm -rf -- "$(cat "$k/place")" ;; esac
place=$(mktemp -d /tmp/vnbk-XXXXXX) || { echo failed; exit 0; }
echo "$place" >"$k/place"; head -c KEYLENGTH >"$k/key"; cat >"$k/launch.py"
printf '{"transport": "ipc", "ip": "%s/s", "shell_port": 1, "iopub_port": 2, "stdin_port": 3,
"control_port": 4, "hb_port": 5, "key": "%s", "signature_scheme": "hmac-sha256"}' \
  "$place" "$(cat "$k/key")" >"$k/connection.json"
[ -x "$own/bin/python" ] && py="$own/bin/python"
setsid=$(command -v setsid || echo nohup)
rm -f "$k/pid" "$k/code"
VASTNB_KERNEL=NAME $setsid sh -c 'echo $$ >"$1/pid"; exec 9>&-
exec "$2" "$1/launch.py" -f "$1/connection.json"' sh "$k" "$py" >"$k/log" 2>&1 </dev/null &
i=0; while [ $i -lt 1500 ]; do
p=$(cat "$k/pid" 2>/dev/null)
if [ -n "$p" ]; then
[ -S "$place/s-1" ] && [ -S "$place/s-2" ] && [ -S "$place/s-4" ] && began "$p" >"$k/began" &&
found new
[ -n "$(began "$p")" ] || break
fi
sleep 0.02; i=$((i+1)); done
if grep -q '^vastnb: no ipykernel' "$k/log"; then echo "missing $py"
else echo failed; tail -n 5 "$k/log"; fi
"""
)

# Runs on whatever Python the image has.
LAUNCHER: Final = r"""
import importlib.util, sys
sys.path[:1] = [""]
if importlib.util.find_spec("ipykernel") is None:
    sys.exit("vastnb: no ipykernel")
# Bars of tqdm.auto would be widgets, whose other half is not in the page.
PLAIN = '''
import importlib.util as _u
if _u.find_spec("tqdm"):
    import sys as _s, types as _t
    import tqdm.std as _q
    _m = _t.ModuleType("tqdm.autonotebook")
    _m.tqdm, _m.trange, _m.__all__ = _q.tqdm, _q.trange, ["tqdm", "trange"]
    _s.modules.setdefault("tqdm.autonotebook", _m)
    del _s, _t, _q, _m
del _u
'''
from ipykernel.kernelapp import IPKernelApp
IPKernelApp.launch_instance(sys.argv[1:] + ["--IPKernelApp.exec_lines=" + repr([PLAIN])])
"""

INSTALL: Final = (
    _FIND
    + r"""
echo "Installing ipykernel into $own, beside $py ..."
"$py" -m venv --system-site-packages --without-pip "$own" || exit 1
"$py" -c 'import site, sys
print("\n".join(p for p in sys.path if p.endswith("-packages")))' \
  >"$("$own/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/vastnb.pth"
if "$own/bin/python" -m pip --version >/dev/null 2>&1
then "$own/bin/python" -m pip install --quiet --disable-pip-version-check ipykernel
elif command -v uv >/dev/null; then uv pip install --quiet --python "$own/bin/python" ipykernel
else "$own/bin/python" -m ensurepip >/dev/null && "$own/bin/python" -m pip install --quiet ipykernel
fi || { rm -rf "$own"; exit 1; }
"""
)


def filled(
    script: str, *, python: str = "", name: str = "", key: str = "", start: bool = True
) -> str:
    """Return a script with its names in place; all of them are checked or quoted before."""
    return (
        script.replace("py=PYTHON", f"py={python}")
        .replace("NAME", name)
        .replace("KEYLENGTH", str(len(key)))
        .replace("MAY_START", "yes" if start else "no")
    )


__all__ = ["INSTALL", "LAUNCHER", "START", "filled"]
