#!/bin/sh
# The code beside each .proto is what protoc makes of it today.
set -eu
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
.venv/bin/python -m grpc_tools.protoc -I . --python_out="$out" --pyi_out="$out" --grpc_python_out="$out" protos/*/v1/*.proto
status=0
for file in $(cd "$out" && find protos -type f); do
  cmp -s "$out/$file" "$file" || { echo "$file is not up to date: run 'make protos'" >&2; status=1; }
done
exit $status
