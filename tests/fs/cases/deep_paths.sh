# SPDX-License-Identifier: LGPL-2.1-or-later
# Paths longer than any system call takes, and the longest names: hidden, frozen and
# restarted like others, if need be under a shorter name.

mount_relinkfs
part=$(printf 'd%.0s' {1..250})
# make_deep LEVELS: a chain of folders; leaves the shell in the last one.
make_deep() {
	local i
	cd "$MNT"
	for ((i = 0; i < $1; i++)); do
		mkdir -p "./$part"
		cd "./$part"
	done
}

for levels in 12 20; do
	make_deep "$levels"
	holder a
	h a chdir "/proc/$$/cwd"
	h a open f "f" rw,creat
	h a write f "deep down, $levels"
	rm -f f
	cd "$WORK"
	h_is 0 a fstat f nlink
	assert_vault 1
	trigger
	assert_eq 1 "$(jq '.entries | length' "$MANIFEST")"
	assert_eq f "$(jq -r '.entries[0].path | split("/") | last' "$MANIFEST")" "last part of the path"
	assert_eq "deep down, $levels" "$(cat "$MNT/$(jq -r '.entries[0].link' "$MANIFEST")")"
	relinkctl list "$MNT" >/dev/null
	relinkctl show "$CKPT" "$MNT" >/dev/null
	kill_holder a
	holder b ckpt-restart "$MANIFEST" --
	h b adopt f 3
	h_is "deep down, $levels" b pread f 0 30
	h_is 0 b fstat f nlink
	((levels > 15)) || {
		h b name f
		assert_match "/$part/f \(deleted\)$" "$REPLY" "name"
	}
	release b
	assert_eq "" "$(checkpoint_files)"
done
# Nothing was made on the way: the chain has its folders and no more.
assert_eq 20 "$(find "$MNT" -mindepth 1 -name 'd*' -type d | wc -l)" "folders"
assert_eq "" "$(find "$MNT" -name f)"
rm -rf "${MNT:?}/$part"
