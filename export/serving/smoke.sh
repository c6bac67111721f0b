#!/usr/bin/env bash
# Proves an export against the real TensorFlow Serving; needs Docker and `pip install ssah-tf[train]`.
#
#   export/serving/smoke.sh runs/folder/export photo.jpg ...
#
# Starts the server, asks it over REST and over gRPC for the codes of the photos (JPEG or PNG), and
# compares both answers with those of ONNX Runtime on this machine. Exit code 0: all are equal.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 EXPORT PHOTO..." >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
EXPORT=$(cd "$1" && pwd)
export EXPORT
shift
work=$(mktemp -d)
compose() { docker compose --file "$here/compose.yaml" "$@"; }
trap 'compose down; rm -r "$work"' EXIT

ssah encode "$EXPORT" "$@" --output - > "$work/local"
compose up --detach
for _ in $(seq 60); do
  curl --silent http://localhost:8501/v1/models/ssah | grep -q AVAILABLE && break
  sleep 1
done
python "$here/rest_client.py" "$@" > "$work/rest"
python "$here/grpc_client.py" "$@" > "$work/grpc"
diff "$work/local" "$work/rest"
diff "$work/local" "$work/grpc"
echo "REST, gRPC and ONNX Runtime give the same $(wc -l < "$work/local") codes"
