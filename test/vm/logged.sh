#!/bin/bash
# Runs a long command beside others: one line when it begins, its output in one piece when it ends.
#
#   test/vm/logged.sh NAME COMMAND [ARGS...]
#
# build/log/NAME.log has the output as it comes, build/log/NAME.result one line about how it ended.
set -uo pipefail
cd "$(dirname "$0")/../.."

name=$1
shift
log=build/log/$name.log
mkdir -p build/log || exit

echo "$name: running (tail -f $log)"
"$@" >"$log" 2>&1
code=$?
if [ $code -eq 0 ]; then
	result="$name: passed after $SECONDS s"
else
	result="$name: FAILED with exit code $code after $SECONDS s (see $log)"
fi
echo "$result" >"build/log/$name.result"

exec 9>build/log/.lock
flock 9
cat "$log"
echo "$result"
exit $code
