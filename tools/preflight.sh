# shellcheck shell=bash
# Sourced by the scripts beside it: checks that what they need is installed. Prints one line for each thing missing,
# with the package to install, and exits 1.

preflight_missing=0

# preflight_need WHAT DEBIAN FEDORA MACOS: says how to install WHAT.
preflight_need() {
  echo "error: $1 is missing; install it with: apt install $2 (Debian, Ubuntu), dnf install $3 (Fedora), $4 (macOS)" >&2
  preflight_missing=1
}

command -v cargo >/dev/null || preflight_need cargo cargo cargo "brew install rust"
command -v cc >/dev/null || preflight_need "a C compiler (cc)" build-essential gcc "xcode-select --install"
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
  preflight_need "python3 (3.9 or later)" "python3 python3-venv" python3 "brew install python"
elif ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  preflight_need "Python's venv module" python3-venv python3 "brew install python"
fi

[ "$preflight_missing" = 0 ] || exit 1
unset preflight_missing
unset -f preflight_need
