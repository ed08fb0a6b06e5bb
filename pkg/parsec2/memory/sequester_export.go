package memory

import (
	"bytes"
	"context"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// exported returns the organization, locked, and the realm, nil unless there
// are this one and the service.
func (s *Store) exported(ctx context.Context, key rules.ExportKey) (o *organization, r *realm, err error) {
	o, err = s.read(ctx, key.Organization)
	if slices.ContainsFunc(o.services, func(service rules.SequesterService) bool { return service.ID == key.Service }) {
		r = o.realms[key.Realm]
	}
	return o, r, err
}

// ExportedSize implements rules.SequesterExportReader.
func (s *Store) ExportedSize(ctx context.Context, key rules.ExportKey) (size uint64, found bool, err error) {
	o, r, err := s.exported(ctx, key)
	defer o.RUnlock()
	if r == nil {
		return 0, false, err
	}
	return r.blocksSize, true, err
}

// ExportedVersions implements rules.SequesterExportReader.
func (s *Store) ExportedVersions(ctx context.Context, key rules.ExportKey, after uint64, most int) ([]rules.ExportedVersion, error) {
	o, r, err := s.exported(ctx, key)
	defer o.RUnlock()
	var versions []rules.ExportedVersion
	for i := after; r != nil && i < uint64(len(r.log)) && len(versions) < most; i++ {
		entry := r.log[i]
		stored := &entry.vlob.versions[entry.version-1]
		if blob, copied := stored.copies[key.Service]; copied {
			versions = append(versions, rules.ExportedVersion{
				Checkpoint: i + 1, Vlob: entry.vlob.id, Version: entry.version, Copy: blob,
				Author: o.numberOf(stored.author), Timestamp: stored.timestamp,
			})
		}
	}
	return versions, err
}

// ExportedBlocks implements rules.SequesterExportReader.
func (s *Store) ExportedBlocks(ctx context.Context, key rules.ExportKey, after parsec.BlockID) (blocks []rules.ExportedBlock, last parsec.BlockID, done bool, err error) {
	o, r, err := s.exported(ctx, key)
	defer o.RUnlock()
	for id, block := range o.blocks {
		if r != nil && block.Realm == key.Realm && bytes.Compare(id[:], after[:]) > 0 {
			blocks = append(blocks, rules.ExportedBlock{
				ID: id, Author: o.numberOf(block.Author), Size: int64(block.Size), Checksum: block.Checksum,
			})
		}
	}
	slices.SortFunc(blocks, func(a, b rules.ExportedBlock) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	if len(blocks) > 0 {
		last = blocks[len(blocks)-1].ID
	}
	return blocks, last, true, err
}

// ExportedCertificates implements rules.SequesterExportReader.
func (s *Store) ExportedCertificates(ctx context.Context, key rules.ExportKey) (certificates rules.ExportedCertificates, err error) {
	o, r, err := s.exported(ctx, key)
	defer o.RUnlock()
	if r == nil {
		return certificates, err
	}
	for i, role := range r.certificates {
		certificates.Roles = append(certificates.Roles, rules.ExportedCertificate{Number: int64(i + 1), Certificate: role})
	}
	for i, id := range o.deviceNumbers {
		device := rules.ExportedCertificate{Number: int64(i + 1), Certificate: o.devices[id].Certificate}
		certificates.Devices = append(certificates.Devices, device)
	}
	for i, id := range o.userNumbers {
		user := rules.ExportedUser{ExportedCertificate: rules.ExportedCertificate{Number: int64(i + 1), Certificate: o.users[id].Certificate}}
		if revocation := o.users[id].Revocation; revocation != nil {
			user.Revocation = revocation.Certificate
		}
		certificates.Users = append(certificates.Users, user)
	}
	return certificates, err
}

// numberOf returns the number of a device.
func (o *organization) numberOf(device parsec.DeviceID) int64 {
	return int64(slices.Index(o.deviceNumbers, device)) + 1
}
