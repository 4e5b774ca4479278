# Runs the job and reports. Started by both guests as "busybox sh /job/.vm/runner", as root, in /job.
#
# port "out":    the job's stdout and stderr, as they come
# port "result": guest to host, one tar: exit, bytes (how much went to "out"), missing, get/N, diagnostics;
#                host to guest, a line: "stop" (out of time) or "off" (shut down)
#
# Only /job/.vm/busybox is run here: the policy under test may forbid every other program.
bb=/job/.vm/busybox
cd /job/.vm || exit 125
$bb mkdir -p result/get

port() {
	for p in /sys/class/virtio-ports/*; do
		[ "$($bb cat "$p/name")" = "$1" ] && echo "/dev/${p##*/}"
	done
}
out=$(port out)
exec 5<>"$(port result)"

# The job writes to a pipe: the port itself can be opened only once, so /dev/stdout would not work.
$bb mkfifo pipe
{ $bb sh -c 'echo $$ >reader; exec /job/.vm/busybox cat pipe' | $bb tee "$out" | $bb wc -c >result/bytes; } &
pump=$!
{
	read -r word <&5
	[ "$word" = stop ] || exit
	: >stopped
	$bb ps -o pid,ppid,user,stat,args >result/ps
	# A Go program answers SIGQUIT with the stacks of all goroutines.
	$bb kill -QUIT "-$($bb cat job)"
	$bb sleep 3
	$bb kill -KILL "-$($bb cat job)"
} 2>/dev/null &
watch=$!
# In the foreground: a background job would start with SIGINT ignored.
$bb setsid $bb sh /job/.vm/run </dev/null >pipe 2>&1 5>&-
code=$?

# A process that the job left behind holds the pipe open: do not wait for that one.
tries=0
while kill -0 $pump 2>/dev/null && [ $tries -lt 10 ]; do
	$bb sleep 0.1
	tries=$((tries + 1))
done
kill "$($bb cat reader)" 2>/dev/null
wait $pump
kill $watch 2>/dev/null

if [ $code -ne 0 ] || [ -e stopped ]; then
	$bb dmesg >result/dmesg 2>&1
	[ -e result/ps ] || $bb ps -o pid,ppid,user,stat,args >result/ps 2>&1
	[ -d /run/systemd/journal ] && journalctl --no-pager -b -o short-monotonic >result/journal 2>&1
fi
n=0
while read -r path; do
	# Missing files are the host's to report: the job may have failed before it wrote them.
	$bb cp -a "$path" result/get/$n 2>/dev/null || echo "$path" >>result/missing
	n=$((n + 1))
done <get
echo $code >result/exit
$bb tar -cf - -C result . >&5

# The host ends the guest, or asks for a shutdown.
while read -r word <&5; do
	[ "$word" = off ] || continue
	$bb sync
	systemctl poweroff
	break
done
$bb sleep 100000
