# SPDX-License-Identifier: LGPL-2.1-or-later
# Relinking needs CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, each by itself, in the user
# namespace of the daemon; who lacks one is told which.

mount_relinkfs
mkdir -m 0777 "$MNT/open"
holder root
holder user setpriv --reuid=1234 --regid=1234 --clear-groups
h root open f "$MNT/open/root" rw,creat 0600
h user open f "$MNT/open/user" rw,creat 0600
rm "$MNT/open/root" "$MNT/open/user"
assert_hidden 2
trigger
kept=$CKPT
kept_link=$(link_of open/user)

as_user=(setpriv --reuid=1234 --regid=1234 --clear-groups --inh-caps=-all)
without() { # CAPABILITY COMMAND...
	local capability=$1
	shift
	# shellcheck disable=SC2016
	capsh --drop="$capability" -- -c '"$@"' sh "$@"
}

# refused CAPABILITIES COMMAND...: an error that names exactly these, and no change.
refused() {
	local names=$1 name before after
	shift
	before=$(checkpoint_files)
	capture 6 "$@"
	for name in CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH; do
		case " $names " in
		*" $name "*) [[ $ERR == *$name* ]] || fail "$*: does not name $name: $ERR" ;;
		*) [[ $ERR != *$name* ]] || fail "$*: names $name, which is not missing: $ERR" ;;
		esac
	done
	after=$(checkpoint_files)
	assert_eq "$before" "$after" "files in the checkpoint folder"
}

both="CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH"
for command in "ckpt-trigger $MNT" "ckpt-trigger --pid ${HOLD_PID[user]} $MNT" \
	"relinkctl drop $kept $MNT"; do
	# shellcheck disable=SC2086
	{
		refused "$both" "${as_user[@]}" $command
		refused CAP_DAC_OVERRIDE without cap_dac_override $command
		refused CAP_DAC_READ_SEARCH without cap_dac_read_search $command
		refused "$both" without cap_dac_override,cap_dac_read_search $command
	}
done

# What else is missing does not matter; an unprivileged user who has just these two may.
capture 0 without cap_sys_admin,cap_fowner,cap_chown,cap_kill ckpt-trigger --json "$MNT"
relinkctl drop "$(jq -r .id <<<"$OUT")" "$MNT"
# shellcheck disable=SC2016
capture 0 setpriv --reuid=1234 --regid=1234 --clear-groups \
	--inh-caps=-all,+dac_override,+dac_read_search --ambient-caps=-all,+dac_override,+dac_read_search \
	ckpt-trigger --json "$MNT"
assert_eq 1234 "$(jq .creator.uid "$SRC/lost+found/checkpoint/unlink-at-restart-$(jq -r .id <<<"$OUT").json" 2>/dev/null || echo none)" "uid of the creator"
relinkctl drop "$(jq -r .id <<<"$OUT")" "$MNT"

# Root of another user namespace has all capabilities there, and none here.
before=$(checkpoint_files)
for namespace in "unshare -Ur" "${as_user[*]} unshare -Ur"; do
	# shellcheck disable=SC2086
	if $namespace true 2>/dev/null; then
		capture '!' $namespace ckpt-trigger "$MNT"
		assert_match "namespace|CAP_DAC" "$ERR"
		capture '!' $namespace relinkctl drop "$kept" "$MNT"
		assert_match "namespace|CAP_DAC" "$ERR"
	fi
done
assert_eq "$before" "$(checkpoint_files)"

# The links cannot be seen, read or removed by others, whatever the files' own modes.
capture '!' "${as_user[@]}" ls "$MNT/lost+found/checkpoint"
capture '!' "${as_user[@]}" cat "$MNT/$kept_link"
capture '!' "${as_user[@]}" rm -f "$MNT/$kept_link"
capture '!' "${as_user[@]}" touch "$MNT/lost+found/checkpoint/mine"
assert_exists "$MNT/$kept_link"

# Of the lists the unprivileged see only what is theirs.
entries() { jq -r '[(.entries // .)[] | .path] | sort | join(" ")'; }
assert_eq "open/root open/user" "$(relinkctl list --json "$MNT" | entries)"
assert_eq "open/user" "$("${as_user[@]}" relinkctl list --json "$MNT" | entries)"
assert_eq "" "$(setpriv --reuid=77 --regid=77 --clear-groups --inh-caps=-all relinkctl list --json "$MNT" | entries)"
nobody=(setpriv --reuid=77 --regid=77 --clear-groups --inh-caps=-all)
assert_eq "[]" "$("${nobody[@]}" relinkctl checkpoints --json "$MNT" | jq -c '[.checkpoints[]]')"
capture '!' "${nobody[@]}" relinkctl show --json "$kept" "$MNT"
assert_eq "[2]" "$(relinkctl checkpoints --json "$MNT" | jq -c '[.checkpoints[] | select(.state == "committed") | .entries]')"
assert_eq "[1]" "$("${as_user[@]}" relinkctl checkpoints --json "$MNT" | jq -c '[.checkpoints[] | select(.state == "committed") | .entries]')"
assert_eq '["open/user"]' "$("${as_user[@]}" relinkctl show --json "$kept" "$MNT" | jq -c '[.manifest.entries[].path]')"
assert_eq 1 "$("${as_user[@]}" relinkctl show --json "$kept" "$MNT" | jq '.links | length')" "links that are shown"
capture 0 "${as_user[@]}" relinkctl status --json "$MNT"
relinkctl drop "$kept" "$MNT"
