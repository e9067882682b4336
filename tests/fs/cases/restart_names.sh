# SPDX-License-Identifier: LGPL-2.1-or-later
# /proc/PID/fd says "<original path> (deleted)", whatever lies at that path by now, and
# nothing that lies there is disturbed, nor are those who hold it.

mount_relinkfs
dir=$MNT/d
mkdir -p "$dir/parent/deeper"

# names ORIGINAL: after checkpoint and restart the fd has this name.
names() {
	local path=$1
	holder old
	h old open f "$path" rw,creat
	h old write f "the old one"
	h old unlink "$path"
	trigger
	kill_holder old
	${2-:}
	holder new ckpt-restart "$MANIFEST" --
	h new adopt f 3
	h_is "the old one" new pread f 0 20
	h_is "$path (deleted)" new name f
	h_is 0 new fstat f nlink
	assert_eq "" "$(checkpoint_files)"
}

names "$dir/free"
assert_missing "$dir/free"
release new

# Taken by another file, which somebody holds: it keeps its name and its inode.
take_by_file() {
	echo "taken" >"$dir/taken"
	holder there
	h there open f "$dir/taken" rw
	h there mmap f m 5
	taken=$(stat -c '%i %.9Y %h' "$dir/taken")
}
names "$dir/taken" take_by_file
assert_eq "taken" "$(cat "$dir/taken")"
assert_eq "$taken" "$(stat -c '%i %.9Y %h' "$dir/taken")"
h_is "$dir/taken" there name f
h_is "1" there fstat f nlink
h there pwrite f 0 "TAKEN"
assert_eq TAKEN "$(cat "$dir/taken")"
h_is "the old one" new pread f 0 20
release new there

take_by_folder() {
	mkdir "$dir/folder"
	echo in >"$dir/folder/in"
	holder there
	h there chdir "$dir/folder"
}
names "$dir/folder" take_by_folder
assert_eq in "$(cat "$dir/folder/in")"
h_is "$dir/folder" there cwd
h there open in in r
release new there

take_by_symlink() { ln -s /etc/passwd "$dir/symlink"; }
names "$dir/symlink" take_by_symlink
assert_eq /etc/passwd "$(readlink "$dir/symlink")"
release new

take_by_fifo() { mkfifo "$dir/fifo"; }
names "$dir/fifo" take_by_fifo
assert_eq fifo "$(stat -c %F "$dir/fifo")"
release new

# Its folder has gone, too, or is a file now.
remove_parent() { rmdir "$dir/parent/deeper" "$dir/parent"; }
names "$dir/parent/deeper/f" remove_parent
assert_missing "$dir/parent"
release new
mkdir "$dir/other"
parent_to_file() { rmdir "$dir/other" && echo file >"$dir/other"; }
holder old
h old open f "$dir/other/f" rw,creat
h old unlink "$dir/other/f"
trigger
kill_holder old
parent_to_file
holder new ckpt-restart "$MANIFEST" --
h new adopt f 3
h new name f
assert_match ' \(deleted\)$' "$REPLY" "a name that cannot be had"
assert_eq file "$(cat "$dir/other")"
release new

# Names that look like what they are not.
names "$dir/x (deleted)"
release new
touch "$dir/x (deleted)"
names "$dir/x"
assert_exists "$dir/x (deleted)"
release new
names "$dir/ space,comma=equals"
release new
names "$dir/-n"
release new
long=$(printf 'n%.0s' {1..255})
names "$dir/$long"
release new

# A removed folder, with the name free and with it taken.
for taken in no file folder; do
	mkdir -m 2750 "$dir/wd"
	chown 12:34 "$dir/wd"
	setfacl -d -m u:78:r-x "$dir/wd"
	setfattr -n user.colour -v blue "$dir/wd"
	properties=$(stat -c '%i %a %u %g' "$dir/wd"; getfacl -nc "$dir/wd" 2>/dev/null)
	holder old
	h old chdir "$dir/wd"
	h old open d . r,dir
	rmdir "$dir/wd"
	trigger
	assert_eq "$properties" "$(cd "$MNT/$(link_of d/wd)" && stat -c '%i %a %u %g' . && getfacl -nc . 2>/dev/null)"
	kill_holder old
	case $taken in
	file) echo "taken" >"$dir/wd" ;;
	folder) mkdir "$dir/wd" && echo in >"$dir/wd/in" ;;
	esac
	holder new ckpt-restart --fds "$MANIFEST" --
	h_is "$dir/wd (deleted)" new cwd
	h new adopt d 3
	h_is "$dir/wd (deleted)" new name d
	h_is "0 directory" new fstat d nlink type
	h_err ENOENT new mkdirat d x
	h_is blue new getxattr d user.colour
	assert_eq "$properties" "$(cd "/proc/${HOLD_PID[new]}/fd/3" && stat -c '%i %a %u %g' . && getfacl -nc . 2>/dev/null)"
	case $taken in
	no) assert_missing "$dir/wd" ;;
	file) assert_eq taken "$(cat "$dir/wd")" ;;
	folder) assert_eq in "$(cat "$dir/wd/in")" ;;
	esac
	assert_eq "" "$(checkpoint_files)"
	assert_vault 1
	release new
	assert_vault 0
	rm -rf "$dir/wd"
done

# Elsewhere: --map takes original paths to others.
holder old
h old open f "$dir/mapped" rw,creat
h old unlink "$dir/mapped"
trigger
kill_holder old
mkdir "$MNT/e"
holder new ckpt-restart --map d=e "$MANIFEST" --
h new adopt f 3
h_is "$MNT/e/mapped (deleted)" new name f
assert_missing "$MNT/e/mapped"
