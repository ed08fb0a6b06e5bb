package rules

import (
	"cmp"
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// RealmCreate creates the realm of a certificate by which its author becomes
// OWNER (docs/protocol/commands.md §6).
func (r *Rules) RealmCreate(ctx context.Context, author *Author, request *protocol.RealmCreateRequest) (*protocol.RealmCreateReply, error) {
	now := r.now()
	role, err := checkRealmCreate(author, now, request)
	if err != nil {
		return nil, err
	}
	err = r.updateAt(ctx, author, now, Scope{Realm: role.Realm, By: RealmExclusive}, func(tx Tx) error {
		if _, exists := tx.Realm(); exists {
			return errRealmExists
		}
		tx.CreateRealm(role.CertifiedOn)
		tx.AddRole(role)
		tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: event.RealmRolesUpdated{
			Realm: role.Realm, User: role.User, Role: role.Role,
		}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &protocol.RealmCreateReply{}, nil
}

// RealmStatus gives the maintenance of a realm (docs/protocol/commands.md §6).
func (r *Rules) RealmStatus(ctx context.Context, author *Author, request *protocol.RealmStatusRequest) (*protocol.RealmStatusReply, error) {
	realm, found, err := r.store.Realm(ctx, author.Organization, request.RealmID, author.User())
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errRealmNotFound
	}
	if err := cmp.Or(realm.Member.checkReader(), realm.checkNotDeleted(r.now())); err != nil {
		return nil, err
	}
	reply := &protocol.RealmStatusReply{EncryptionRevision: realm.EncryptionRevision}
	if maintenance := realm.Maintenance; maintenance.Type != parsec.MaintenanceNone {
		reply.InMaintenance = true
		reply.MaintenanceType = maintenance.Type
		reply.MaintenanceStartedOn = &maintenance.StartedOn
		reply.MaintenanceStartedBy = maintenance.StartedBy
	}
	return reply, nil
}

// RealmStats sums up the data of a realm (docs/protocol/commands.md §6).
func (r *Rules) RealmStats(ctx context.Context, author *Author, request *protocol.RealmStatsRequest) (*protocol.RealmStatsReply, error) {
	realm, blocksSize, vlobsSize, found, err := r.store.RealmStatistics(ctx, author.Organization, request.RealmID, author.User())
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errRealmNotFound
	}
	if err := cmp.Or(realm.Member.checkReader(), realm.checkNotDeleted(r.now())); err != nil {
		return nil, err
	}
	return &protocol.RealmStatsReply{BlocksSize: blocksSize, VlobsSize: vlobsSize}, nil
}

// RealmGetRoleCertificates gives every role certificate of a realm, even
// deleted (docs/protocol/commands.md §6).
func (r *Rules) RealmGetRoleCertificates(ctx context.Context, author *Author, request *protocol.RealmGetRoleCertificatesRequest) (*protocol.RealmGetRoleCertificatesReply, error) {
	realm, roles, found, err := r.store.RoleCertificates(ctx, author.Organization, request.RealmID, author.User())
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errRealmNotFound
	}
	if err := realm.Member.checkReader(); err != nil {
		return nil, err
	}
	reply := &protocol.RealmGetRoleCertificatesReply{Certificates: make([][]byte, 0, len(roles))}
	for i := range roles {
		if request.Since == nil || roles[i].CertifiedOn > *request.Since {
			reply.Certificates = append(reply.Certificates, roles[i].Certificate)
		}
	}
	return reply, nil
}
