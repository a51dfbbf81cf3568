module holdfast.dev/test/cluster/binaries/webhook

// Standard library only.

go 1.24.0
