package vm

import (
	"slices"
	"strings"
	"testing"
)

func TestLoadOrder(t *testing.T) {
	const dep = `kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_pci_legacy_dev.ko kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio_pci_legacy_dev.ko:
kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio_ring.ko:
kernel/drivers/char/hw_random/virtio-rng.ko.xz: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
`
	const builtin = "kernel/fs/ext4/ext4.ko\n"
	got, err := parseLoadOrder(dep, builtin, []string{"virtio_pci", "ext4", "virtio_rng"})
	want := []string{
		"kernel/drivers/virtio/virtio_ring.ko", "kernel/drivers/virtio/virtio.ko",
		"kernel/drivers/virtio/virtio_pci_legacy_dev.ko", "kernel/drivers/virtio/virtio_pci.ko",
		"kernel/drivers/char/hw_random/virtio-rng.ko.xz",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := parseLoadOrder(dep, builtin, []string{"overlay"}); err == nil || !strings.Contains(err.Error(), "overlay") {
		t.Errorf("a module that the kernel lacks: error %v", err)
	}
}
