package blockstore_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

// exerciseStore has a block store pass what every one does
// (docs/protocol/blockstore.md): the one that open returns, which is ready and
// may hold blocks already. The checks run in parallel on that one store; open may
// register its end with t.Cleanup.
func exerciseStore(t *testing.T, open func(t *testing.T) blockstore.Store) {
	store := open(t)
	t.Run("checks", func(t *testing.T) {
		for _, check := range []struct {
			name string
			run  func(fixture)
		}{
			{"round trip", fixture.roundTrip},
			{"parts", fixture.parts},
			{"other length", fixture.otherLength},
			{"checksum", fixture.checksum},
			{"not found", fixture.notFound},
			{"overwrite", fixture.overwrite},
			{"organizations", fixture.organizations},
			{"caller's buffer", fixture.callersBuffer},
			{"concurrent blocks", fixture.concurrentBlocks},
			{"concurrent creates of one block", fixture.concurrentCreates},
			{"cancelled context", fixture.cancelledContext},
			{"ready", fixture.ready},
		} {
			t.Run(check.name, func(t *testing.T) {
				t.Parallel()
				check.run(fixture{t, store, newOrganization(t, "Org_")})
			})
		}
	})
}

// fixture is a store and an organization of the check.
type fixture struct {
	t            *testing.T
	store        blockstore.Store
	organization parsec.OrganizationID
}

// newOrganization returns a name never used, of at most 32 bytes.
func newOrganization(t *testing.T, prefix string) parsec.OrganizationID {
	t.Helper()
	id, err := parsec.ParseOrganizationID(prefix + parsec.NewUUID().Hex()[:16])
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// content is not periodic within any power of two, so that chunks cannot be
// exchanged unnoticed.
func content(size int, seed byte) []byte {
	block := make([]byte, size)
	for i := range block {
		block[i] = seed + byte(i%251)
	}
	return block
}

func (f fixture) create(organization parsec.OrganizationID, id parsec.BlockID, block []byte) {
	f.t.Helper()
	if err := f.store.Create(f.t.Context(), organization, id, block); err != nil {
		f.t.Fatalf("create a block of %d bytes: %v", len(block), err)
	}
}

func (f fixture) wantBlock(organization parsec.OrganizationID, id parsec.BlockID, want []byte) {
	f.t.Helper()
	block := make([]byte, len(want))
	if err := f.store.Read(f.t.Context(), organization, id, nil, block); err != nil {
		f.t.Fatalf("read a block of %d bytes: %v", len(want), err)
	}
	if !bytes.Equal(block, want) {
		f.t.Fatalf("a block of %d bytes is not what was created", len(want))
	}
}

func (f fixture) wantNone(organization parsec.OrganizationID, id parsec.BlockID) {
	f.t.Helper()
	if err := f.store.Read(f.t.Context(), organization, id, nil, make([]byte, 10)); !errors.Is(err, blockstore.ErrNotFound) {
		f.t.Fatalf("read an absent block: %v, want ErrBlockNotFound", err)
	}
}

func (f fixture) roundTrip() {
	for _, size := range []int{0, 1, 2, 3, 4, 5, 512<<10 + 40, 1 << 20} {
		id := newBlockID()
		f.create(f.organization, id, content(size, 7))
		f.wantBlock(f.organization, id, content(size, 7))
		f.wantBlock(f.organization, id, content(size, 7))
	}
	// Zeros at the end are neither cut nor added.
	id := newBlockID()
	f.create(f.organization, id, make([]byte, 1000))
	f.wantBlock(f.organization, id, make([]byte, 1000))
}

// parts has a block be read into several places.
func (f fixture) parts() {
	id := newBlockID()
	want := content(1000, 3)
	f.create(f.organization, id, want)
	for _, lengths := range [][]int{{1000, 0}, {0, 1, 0, 999}, {332, 1, 335, 332}, {3, 997}, {997, 3}} {
		block := make([]byte, len(want))
		var into [][]byte
		for rest := block; len(into) < len(lengths); {
			length := lengths[len(into)]
			into = append(into, rest[:length:length])
			rest = rest[length:]
		}
		if err := f.store.Read(f.t.Context(), f.organization, id, nil, into...); err != nil {
			f.t.Fatalf("read into parts of %v bytes: %v", lengths, err)
		}
		if !bytes.Equal(block, want) {
			f.t.Errorf("parts of %v bytes are not what was created", lengths)
		}
	}
}

// otherLength has a block not be taken for one of another length, of which
// there is more or less.
func (f fixture) otherLength() {
	id := newBlockID()
	f.create(f.organization, id, content(1000, 1))
	for _, length := range []int{0, 1, 997, 999, 1001, 1002, 1003, 2000} {
		err := f.store.Read(f.t.Context(), f.organization, id, nil, make([]byte, length))
		if err == nil || errors.Is(err, blockstore.ErrNotFound) {
			f.t.Errorf("read 1000 bytes as %d: %v, want an error that tells of it", length, err)
		}
	}
	f.wantBlock(f.organization, id, content(1000, 1))
}

// checksum has bytes of good length not be taken for those of another checksum.
func (f fixture) checksum() {
	for _, size := range []int{0, 1, 1000, 512<<10 + 40} {
		id, block := newBlockID(), content(size, 1)
		f.create(f.organization, id, block)
		into := make([]byte, size)
		parts := [][]byte{into[:size/3], into[size/3:]}
		if err := f.store.Read(f.t.Context(), f.organization, id, blockstore.ChecksumOf(block), parts...); err != nil || !bytes.Equal(into, block) {
			f.t.Errorf("read %d bytes of the right checksum: %v, or other bytes", size, err)
		}
		err := f.store.Read(f.t.Context(), f.organization, id, blockstore.ChecksumOf(content(size+1, 2)), parts...)
		if err == nil || errors.Is(err, blockstore.ErrNotFound) {
			f.t.Errorf("read %d bytes of another checksum: %v, want an error that tells of it", size, err)
		}
		f.wantBlock(f.organization, id, block)
	}
	err := f.store.Read(f.t.Context(), f.organization, newBlockID(), blockstore.ChecksumOf(nil), make([]byte, 10))
	if !errors.Is(err, blockstore.ErrNotFound) {
		f.t.Errorf("read an absent block of some checksum: %v, want ErrBlockNotFound", err)
	}
}

func (f fixture) notFound() {
	f.wantNone(f.organization, newBlockID())
	f.create(f.organization, newBlockID(), content(10, 1))
	f.wantNone(f.organization, newBlockID())
}

func (f fixture) overwrite() {
	id := newBlockID()
	for _, block := range [][]byte{content(1000, 1), content(1000, 2), content(10, 3), {}, content(2000, 4)} {
		f.create(f.organization, id, block)
		f.wantBlock(f.organization, id, block)
	}
}

func (f fixture) organizations() {
	id := newBlockID()
	other, accented := newOrganization(f.t, "Other_"), newOrganization(f.t, "Équipe_")
	f.create(f.organization, id, content(10, 1))
	f.wantNone(other, id)
	f.create(other, id, content(20, 2))
	f.create(accented, id, content(30, 3))
	f.wantBlock(f.organization, id, content(10, 1))
	f.wantBlock(other, id, content(20, 2))
	f.wantBlock(accented, id, content(30, 3))

	// Ids of organizations differ by case.
	upper, err := parsec.ParseOrganizationID(strings.ToUpper(f.organization.String()))
	if err != nil {
		f.t.Fatal(err)
	}
	f.wantNone(upper, id)
}

func (f fixture) callersBuffer() {
	first, second := newBlockID(), newBlockID()
	buffer := content(1000, 1)
	f.create(f.organization, first, buffer)
	copy(buffer, content(1000, 2))
	f.create(f.organization, second, buffer)
	clear(buffer)
	f.wantBlock(f.organization, first, content(1000, 1))
	f.wantBlock(f.organization, second, content(1000, 2))
}

func (f fixture) concurrentBlocks() {
	ids := make([]parsec.BlockID, 16)
	var group sync.WaitGroup
	for i := range ids {
		ids[i] = newBlockID()
		group.Go(func() {
			if err := f.store.Create(f.t.Context(), f.organization, ids[i], content(5000+i, byte(i))); err != nil {
				f.t.Errorf("create block %d: %v", i, err)
			}
			if err := f.store.Read(f.t.Context(), f.organization, ids[i], nil, make([]byte, 5000+i)); err != nil {
				f.t.Errorf("read block %d just created: %v", i, err)
			}
		})
	}
	group.Wait()
	for i, id := range ids {
		f.wantBlock(f.organization, id, content(5000+i, byte(i)))
	}
}

// concurrentCreates wants the bytes of one of the writers, whole. Different
// bytes are never written at once by the rules, so that a store that spreads a
// block over several nodes need not order them: all write the same here.
func (f fixture) concurrentCreates() {
	id := newBlockID()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := f.store.Create(f.t.Context(), f.organization, id, content(5000, 9)); err != nil {
				f.t.Errorf("create a block that others create: %v", err)
			}
		})
	}
	group.Wait()
	f.wantBlock(f.organization, id, content(5000, 9))
}

func (f fixture) cancelledContext() {
	id := newBlockID()
	f.create(f.organization, id, content(10, 1))
	cancelled, cancel := context.WithCancel(f.t.Context())
	cancel()
	if err := f.store.Read(cancelled, f.organization, id, nil, make([]byte, 10)); !errors.Is(err, context.Canceled) {
		f.t.Errorf("read with a cancelled context: %v, want %v", err, context.Canceled)
	}
	if err := f.store.Create(cancelled, f.organization, newBlockID(), content(10, 1)); !errors.Is(err, context.Canceled) {
		f.t.Errorf("create with a cancelled context: %v, want %v", err, context.Canceled)
	}
	f.wantBlock(f.organization, id, content(10, 1))
}

func (f fixture) ready() {
	if err := f.store.Ready(f.t.Context()); err != nil {
		f.t.Error(err)
	}
}
