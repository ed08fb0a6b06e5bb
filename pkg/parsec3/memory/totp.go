package memory

import (
	"bytes"
	"context"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// TOTP implements rules.TOTPTx.
func (t *tx) TOTP(context.Context) (*rules.User, rules.TOTPSetup, error) {
	if !t.Allow("TOTP", t.scope.TOTP != nil) {
		return nil, rules.TOTPSetup{}, nil
	}
	user, setup := t.organization.totpOf(*t.scope.TOTP)
	return user, setup, nil
}

// totpOf returns a user, nil if there is none, with a copy of its setup.
func (o *organization) totpOf(id parsec3.UserID) (*rules.User, rules.TOTPSetup) {
	user, found := o.copyUser(id)
	if !found {
		return nil, rules.TOTPSetup{}
	}
	setup := o.users[id].totp
	setup.ResetToken = organizationstore.CopyOf(setup.ResetToken)
	return user, setup
}

// OpaqueKeys implements rules.TOTPTx.
func (t *tx) OpaqueKeys(context.Context) (uint64, error) {
	if !t.Allow("OpaqueKeys", t.scope.TOTP != nil) {
		return 0, nil
	}
	stored, found := t.organization.users[*t.scope.TOTP]
	if !found {
		return 0, nil
	}
	return uint64(len(stored.opaqueKeys)), nil
}

// OpaqueKey implements rules.TOTPTx.
func (t *tx) OpaqueKey(context.Context) (*rules.User, rules.TOTPSetup, rules.OpaqueKey, error) {
	if !t.Allow("OpaqueKey", t.scope.OpaqueKey != nil) {
		return nil, rules.TOTPSetup{}, rules.OpaqueKey{}, nil
	}
	of := *t.scope.OpaqueKey
	user, setup := t.organization.totpOf(of.User)
	if user == nil {
		return nil, setup, rules.OpaqueKey{}, nil
	}
	return user, setup, t.organization.users[of.User].opaqueKeys[of.Key], nil
}

// PutTOTP implements rules.TOTPTx.
func (t *tx) PutTOTP(setup rules.TOTPSetup) {
	setup.Secret, setup.ResetToken = bytes.Clone(setup.Secret), organizationstore.CopyOf(setup.ResetToken)
	possible := !setup.Completed || setup.Secret != nil && setup.ResetToken == nil
	t.queueTOTP("PutTOTP", possible, func(of *user) { of.totp = setup })
}

// CreateOpaqueKey implements rules.TOTPTx.
func (t *tx) CreateOpaqueKey(id parsec3.OpaqueKeyID, key parsec3.OpaqueKey) {
	t.queueTOTP("CreateOpaqueKey", true, func(of *user) {
		if of.opaqueKeys == nil {
			of.opaqueKeys = map[parsec3.OpaqueKeyID]rules.OpaqueKey{}
		}
		of.opaqueKeys[id] = rules.OpaqueKey{Exists: true, Key: key}
	})
}

// ForgiveOpaqueKeys implements rules.TOTPTx.
func (t *tx) ForgiveOpaqueKeys() {
	t.queueTOTP("ForgiveOpaqueKeys", true, func(of *user) {
		for id, key := range of.opaqueKeys {
			of.opaqueKeys[id] = rules.OpaqueKey{Exists: true, Key: key.Key}
		}
	})
}

// queueTOTP queues an effect on the user of Scope.TOTP.
func (t *tx) queueTOTP(name string, possible bool, effect func(of *user)) {
	if t.scope.TOTP == nil {
		t.Allow(name, false)
		return
	}
	of, found := t.organization.users[*t.scope.TOTP]
	t.Queue(name, possible && found, func() { effect(of) })
}

// CountOpaqueKey implements rules.TOTPTx.
func (t *tx) CountOpaqueKey(key rules.OpaqueKey) {
	if t.scope.OpaqueKey == nil {
		t.Allow("CountOpaqueKey", false)
		return
	}
	name := *t.scope.OpaqueKey
	of, found := t.organization.users[name.User]
	t.Queue("CountOpaqueKey", found && key.Exists && of.opaqueKeys[name.Key].Exists, func() { of.opaqueKeys[name.Key] = key })
}
