package storetest

import (
	"bytes"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

var totpChecks = []check{
	{"setup", setupOfTOTP},
	{"keys", opaqueKeys},
	{"other organizations", totpApart},
}

func onTOTP(user parsec3.UserID) rules.Scope { return rules.Scope{TOTP: &user} }

func onOpaqueKey(user parsec3.UserID, key parsec3.OpaqueKeyID) rules.Scope {
	return rules.Scope{OpaqueKey: &rules.OpaqueKeyName{User: user, Key: key}}
}

func (f *fixture) wantTOTP(user parsec3.UserID, want rules.TOTPSetup) {
	f.Helper()
	f.update(onTOTP(user), func(tx rules.Tx) error {
		found, setup, err := tx.TOTP(f.Context())
		equal(f, "setup", setup, want)
		equal(f, "the user is known", found != nil && found.ID == user, names[user] != "")
		return err
	})
}

func setupOfTOTP(f *fixture) {
	f.bootstrap()
	f.wantTOTP(alice, rules.TOTPSetup{})
	f.wantTOTP(parsec3.UserID{1}, rules.TOTPSetup{})
	token := parsec3.NewAccessToken()
	for _, setup := range []rules.TOTPSetup{
		{Secret: []byte("secret")},
		{Secret: []byte("secret"), Completed: true},
		{ResetToken: &token},
		{Secret: []byte{}, ResetToken: &token},
	} {
		given := setup
		given.Secret = bytes.Clone(setup.Secret)
		f.queue(onTOTP(alice), func(tx rules.Tx) { tx.PutTOTP(given) })
		clear(given.Secret)
		f.wantTOTP(alice, setup)
	}
}

// opaqueKeys are counted, each alone, and forgiven together.
func opaqueKeys(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	one, two, ofBob := parsec3.OpaqueKeyID{1}, parsec3.OpaqueKeyID{2}, parsec3.OpaqueKeyID{3}
	create := func(user parsec3.UserID, id parsec3.OpaqueKeyID) {
		f.queue(onTOTP(user), func(tx rules.Tx) { tx.CreateOpaqueKey(id, parsec3.OpaqueKey{9, id[0]}) })
	}
	want := func(user parsec3.UserID, id parsec3.OpaqueKeyID, want rules.OpaqueKey) {
		f.Helper()
		f.update(onOpaqueKey(user, id), func(tx rules.Tx) error {
			found, _, key, err := tx.OpaqueKey(f.Context())
			equal(f, "key", key, want)
			equal(f, "the user is known", found != nil && found.ID == user, names[user] != "")
			return err
		})
	}
	wantCount := func(user parsec3.UserID, want uint64) {
		f.Helper()
		f.update(onTOTP(user), func(tx rules.Tx) error {
			keys, err := tx.OpaqueKeys(f.Context())
			equal(f, "keys", keys, want)
			return err
		})
	}
	wantCount(alice, 0)
	create(alice, one)
	create(alice, two)
	create(bob, ofBob)
	wantCount(alice, 2)
	wantCount(bob, 1)
	fresh := func(id parsec3.OpaqueKeyID) rules.OpaqueKey {
		return rules.OpaqueKey{Exists: true, Key: parsec3.OpaqueKey{9, id[0]}}
	}
	want(alice, one, fresh(one))
	want(alice, ofBob, rules.OpaqueKey{})
	want(parsec3.UserID{7}, one, rules.OpaqueKey{})

	guessed := fresh(one)
	guessed.Failures, guessed.FailedOn, guessed.LastStep = 3, at(1), 7
	f.queue(onOpaqueKey(alice, one), func(tx rules.Tx) { tx.CountOpaqueKey(guessed) })
	want(alice, one, guessed)
	want(alice, two, fresh(two))
	ofBobGuessed := fresh(ofBob)
	ofBobGuessed.Failures = 1
	f.queue(onOpaqueKey(bob, ofBob), func(tx rules.Tx) { tx.CountOpaqueKey(ofBobGuessed) })
	f.queue(onTOTP(alice), func(tx rules.Tx) {
		tx.PutTOTP(rules.TOTPSetup{Secret: []byte("secret"), Completed: true})
		tx.ForgiveOpaqueKeys()
	})
	want(alice, one, fresh(one))
	want(bob, ofBob, ofBobGuessed)
	f.update(onOpaqueKey(alice, one), func(tx rules.Tx) error {
		_, setup, _, err := tx.OpaqueKey(f.Context())
		equal(f, "setup beside a key", setup, rules.TOTPSetup{Secret: []byte("secret"), Completed: true})
		return err
	})
}

func totpApart(f *fixture) {
	f.bootstrap()
	other := f.another()
	other.bootstrap()
	setup, key := rules.TOTPSetup{Secret: []byte("secret"), Completed: true}, parsec3.OpaqueKeyID{1}
	other.queue(onTOTP(alice), func(tx rules.Tx) {
		tx.PutTOTP(setup)
		tx.CreateOpaqueKey(key, parsec3.OpaqueKey{1})
	})
	f.wantTOTP(alice, rules.TOTPSetup{})
	f.queue(onTOTP(alice), func(tx rules.Tx) {
		tx.PutTOTP(rules.TOTPSetup{})
		tx.ForgiveOpaqueKeys()
	})
	other.wantTOTP(alice, setup)
	f.update(onOpaqueKey(alice, key), func(tx rules.Tx) error {
		_, _, found, err := tx.OpaqueKey(f.Context())
		equal(f, "key of another organization", found, rules.OpaqueKey{})
		return err
	})
}
