#!/usr/bin/env bash
# MNN 3.6.1: the module of the converter runs pip when it is imported.
#
# What one would expect: a converter writes a file. What it needs is named in the package, and whoever
# installs that decides about it.
# What happens: `mnnconvert`, and `import MNN.tools.mnnconvert`, call the first `pip` of the search path
# with "install -U aliyun-log-python-sdk", whatever environment that pip belongs to; packages there may
# change their versions by it. The installed package then reports each conversion. `import MNN` alone
# does neither, nor does the converter's own function in `_tools`.
# Here a program that only notes its words stands in the place of pip, so that nothing is installed and
# nothing is reported.
# Seen with: MNN 3.6.1, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/mnn_converter_installs_a_package.sh       exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check MNN==3.6.1 numpy==2.4.6
mkdir "$folder/first"
cat > "$folder/first/pip" <<SHELL
#!/bin/sh
echo "pip \$*" >> "$folder/called"
SHELL
chmod +x "$folder/first/pip"
# Imports a module and prints what pip was asked for by that.
asked() {
  : > "$folder/called"
  PATH="$folder/first:$PATH" "$folder/env/bin/python" -c "import $1" > /dev/null 2>&1
  echo "import $1: $(sort -u "$folder/called")"
}
cat > "$folder/expected" <<'TEXT'
import MNN: 
import MNN, _tools: 
import MNN.tools.mnnconvert: pip install -U aliyun-log-python-sdk
TEXT
{
  asked "MNN"
  asked "MNN, _tools"
  asked "MNN.tools.mnnconvert"
} | tee "$folder/found"
if diff "$folder/expected" "$folder/found"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
