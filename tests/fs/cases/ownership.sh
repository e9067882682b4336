# SPDX-License-Identifier: LGPL-2.1-or-later
# What another user makes has its owner, groups, umask, setgid folder and default ACL as
# on the backing filesystem, and the permissions of each hold.

make_things() ( # FOLDER
	cd "$1"
	mkdir -m 0777 free
	mkdir -m 2777 group
	chown :3000 group
	mkdir -m 0777 acl
	setfacl -d -m u:4000:rwx,g:5000:r-x,o::--- acl
	mkdir -m 0770 shared
	chown 0:6000 shared
	mkdir -m 1777 sticky
	mkdir -m 0700 private
	as=(setpriv --reuid=1234 --regid=2345 --groups=6000,7000)
	for umask in 000 022 077 027; do
		for folder in free group acl shared sticky; do
			"${as[@]}" bash -c "umask $umask; cd $folder; : >f-$umask; mkdir d-$umask;
				mkfifo p-$umask; ln -s x s-$umask; mkdir -m 02775 g-$umask"
		done
	done
	"${as[@]}" chgrp 7000 free/f-022
	! "${as[@]}" chgrp 8000 free/f-022 || echo "chgrp to a foreign group worked"
	! "${as[@]}" chown 99 free/f-022 || echo "chown worked"
	"${as[@]}" chmod 2755 free/f-022
	"${as[@]}" chmod 2755 group/f-022
	! "${as[@]}" touch private/f || echo "write into a private folder worked"
	! "${as[@]}" ls private || echo "reading a private folder worked"
	other=(setpriv --reuid=99 --regid=99 --clear-groups)
	! "${other[@]}" rm -f sticky/f-000 || echo "removing from a sticky folder worked"
	! "${other[@]}" touch shared/f || echo "write without the group worked"
	! "${other[@]}" cat acl/f-077 || echo "reading against the ACL worked"
	! "${other[@]}" mv sticky/f-022 free/stolen || echo "renaming from a sticky folder worked"
	setpriv --reuid=4000 --regid=4000 --clear-groups cat acl/f-022
	find . -printf '%p %m %U %G %y %l\n' | sort
	find . ! -type l -print0 | sort -z | xargs -0 getfacl -n
) 2>&1

mkdir "$FSROOT/plain"
make_things "$FSROOT/plain" >"$WORK/plain.txt"
for options in cache=shared cache=owned; do
	mount_relinkfs -o "$options"
	mkdir "$MNT/$options"
	make_things "$MNT/$options" >"$WORK/mount.txt"
	diff -u "$WORK/plain.txt" "$WORK/mount.txt" >&2 || fail "the mount is unlike its backing"
	stop_relinkfs
done
grep -q "Permission denied" "$WORK/plain.txt" || fail "nothing was refused on the backing"
