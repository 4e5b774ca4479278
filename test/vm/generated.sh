#!/bin/bash
# Fails if a committed generated file is not what "go generate" makes of its sources.
set -euo pipefail
cd "$(dirname "$0")/../.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

# The files as they are on disk, so that the check also serves work that is not committed yet.
git ls-files -z --cached --others --exclude-standard |
	while IFS= read -r -d '' file; do if [ -e "$file" ]; then printf '%s\0' "$file"; fi; done |
	tar --null -T - -cf - | tar -xf - -C "$copy"
mkdir "$copy.before"
trap 'rm -rf "$copy" "$copy.before"' EXIT
cp -a "$copy/." "$copy.before/"

echo "generated: running go generate in a copy"
(cd "$copy" && GOFLAGS=-buildvcs=false go generate ./...)

if ! diff -rq "$copy.before" "$copy"; then
	echo "generated: files on disk differ from what go generate makes (run make generate and commit the result)" >&2
	exit 1
fi
echo "generated: up to date"
