# SPDX-License-Identifier: LGPL-2.1-or-later
# labels: slow
# size: 3G
# deadline: 600
# The same with a file of 1 GiB.

EXAMPLE_SIZE=1G
source "${CASE%_slow.sh}.sh"
