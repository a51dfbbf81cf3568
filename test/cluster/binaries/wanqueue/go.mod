module holdfast.dev/test/cluster/binaries/wanqueue

// Standard library only: raw netlink needs nothing else.

go 1.24.0
