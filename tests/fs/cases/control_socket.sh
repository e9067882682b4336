# SPDX-License-Identifier: LGPL-2.1-or-later
# The control socket as any Varlink client finds it, and as somebody finds it who means ill.

mount_relinkfs
holder a
h a open f "$MNT/f" rw,creat
rm "$MNT/f"
device=$(stat -c %Hd:%Ld "$MNT")
socket=/run/relinkfs/$device.sock
assert_eq "socket 666 0" "$(stat -c '%F %a %u' "$socket")"
assert_eq "755 0" "$(stat -c '%a %u' /run/relinkfs)"

# call METHOD [PARAMETERS]: the reply, as one line of JSON.
call() {
	printf '{"method":"%s","parameters":%s}\0' "$1" "${2-"{}"}" | timeout 20 varlink-call "$socket"
}

assert_eq org.relinkfs "$(call org.varlink.service.GetInfo | jq -r '.parameters.interfaces[] | select(. == "org.relinkfs")')"
description=$(call org.varlink.service.GetInterfaceDescription '{"interface":"org.relinkfs"}' | jq -r .parameters.description)
for method in Status ListEntries ListCheckpoints ShowCheckpoint Freeze Commit Undo Drop Alias Unalias; do
	grep -q "^method $method *(" <<<"$description" || fail "the interface does not describe $method"
done
assert_eq 1 "$(call org.relinkfs.Status | jq .parameters.hidden)"
assert_eq "$DAEMON" "$(call org.relinkfs.Status | jq .parameters.pid)"

# Errors that Varlink names.
assert_eq org.varlink.service.MethodNotFound "$(call org.relinkfs.Nothing | jq -r .error)"
assert_eq org.varlink.service.InterfaceNotFound "$(call org.nobody.Status | jq -r .error)"
assert_eq org.varlink.service.InvalidParameter "$(call org.relinkfs.Drop '{"id":5}' | jq -r .error)"
call org.relinkfs.Drop '{"id":"0000000000000001"}' | jq -re .error >/dev/null
call org.relinkfs.Freeze '{"scope":"nothing"}' | jq -re .error >/dev/null
for manifest in /etc/passwd ../../x lost+found/checkpoint/../../../x .relinkfs/default/catalog.db ""; do
	call org.relinkfs.Drop "$(jq -nc --arg m "$manifest" '{manifest: $m}')" | jq -re .error >/dev/null ||
		fail "Drop took the manifest '$manifest'"
done
assert_eq "" "$(checkpoint_files)"

# Two requests in one go, and one byte at a time.
assert_eq 2 "$(printf '{"method":"org.relinkfs.Status"}\0{"method":"org.relinkfs.Status"}\0' |
	varlink-call "$socket" | jq -s 'map(.parameters.hidden) | add')"
printf '{"method":"org.relinkfs.Status"}\0' >"$WORK/request"
assert_eq 1 "$(dd if="$WORK/request" bs=1 status=none | varlink-call "$socket" | jq .parameters.hidden)"

# Nonsense, by anybody, does no harm.
nonsense=(
	'\0' '{}\0' '[]\0' 'null\0' '"x"\0' '{"method":5}\0' '{"method":"Status"}\0' 'not json\0'
	'{"method":"org.relinkfs.Status","parameters":[]}\0' '{"method":"org.relinkfs.Status"'
	'{"method":"org.relinkfs.Freeze","parameters":{"scope":"tree","pid":-1}}\0'
	'{"method":"org.relinkfs.Freeze","parameters":{"scope":"tree","pid":1e300}}\0'
	'{"method":"org.relinkfs.Freeze","parameters":{"scope":"cgroup","cgroup":"../.."}}\0'
	'{"method":"org.relinkfs.ListEntries","parameters":{"holders":"yes"}}\0'
	'{"method":"org.relinkfs.ShowCheckpoint","parameters":{"id":"%s"}}\0'
	'{"method":"org.relinkfs.Alias","parameters":{"link":"/","path":"/"}}\0' '\xff\xfe\0'
)
for text in "${nonsense[@]}"; do
	printf "${text//%s/%%s}" | timeout 20 varlink-call "$socket" >"$WORK/out" || true
	printf "${text//%s/%%s}" | timeout 20 setpriv --reuid=99 --regid=99 --clear-groups \
		varlink-call "$socket" >"$WORK/out" || true
done
{ printf '{"method":"' && head -c 1000000 /dev/zero | tr '\0' x && printf '"}\0'; } |
	timeout 20 varlink-call "$socket" >"$WORK/out" || true
python3 -c 'import sys; sys.stdout.write("[" * 60000 + "\0")' |
	timeout 20 varlink-call "$socket" >"$WORK/out" || true

# Many who connect and say nothing lock nobody out.
idle=()
for i in {1..40}; do
	varlink-call "$socket" <"$WORK/never" 2>/dev/null &
	idle+=($!)
done
exec {hold_open}<>"$WORK/never"
wait_until '(( $(grep -c "$socket" /proc/net/unix) >= 30 ))' || true
assert_eq 1 "$(call org.relinkfs.Status | jq .parameters.hidden)"
trigger
relinkctl drop "$CKPT" "$MNT"
kill "${idle[@]}" 2>/dev/null || true
wait "${idle[@]}" || true
exec {hold_open}>&-
assert_eq 1 "$(call org.relinkfs.Status | jq .parameters.hidden)"
release a
stop_relinkfs
assert_missing "$socket"
