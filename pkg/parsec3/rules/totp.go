package rules

import (
	"context"
	"crypto/rand"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// maxOpaqueKeys bounds the keys of a user: no command takes one away.
const maxOpaqueKeys = 1000

// TOTPSetupGetSecret returns what the author's one-time passwords are made of, until
// their setup is complete (docs/protocol/v5/enrollment.md §4.1).
func (r *Rules) TOTPSetupGetSecret(ctx context.Context, author *Author, _ *protocol.TOTPSetupGetSecretRequest) (*protocol.TOTPSetupGetSecretReply, error) {
	reply := &protocol.TOTPSetupGetSecretReply{}
	err := r.setTOTPUp(ctx, author, func(tx Tx, setup *TOTPSetup) error {
		reply.TOTPSecret = setup.secret(tx)
		return nil
	})
	return reply, err
}

// TOTPSetupConfirm completes the setup of the author, who has a one-time password
// (docs/protocol/v5/enrollment.md §4.1).
func (r *Rules) TOTPSetupConfirm(ctx context.Context, author *Author, request *protocol.TOTPSetupConfirmRequest) (*protocol.TOTPSetupConfirmReply, error) {
	now := r.now()
	err := r.setTOTPUp(ctx, author, func(tx Tx, setup *TOTPSetup) error {
		return setup.confirm(tx, now, request.OneTimePassword)
	})
	return &protocol.TOTPSetupConfirmReply{}, err
}

// setTOTPUp runs rule on the setup of the author, which is not complete, under its lock.
func (r *Rules) setTOTPUp(ctx context.Context, author *Author, rule func(tx Tx, setup *TOTPSetup) error) error {
	return r.update(ctx, author, r.now(), Scope{TOTP: &author.User}, func(tx Tx, _ *User) error {
		_, setup, err := tx.TOTP(ctx)
		if err != nil {
			return err
		}
		if setup.Completed {
			return protocol.Refuse(protocol.StatusAlreadySetup)
		}
		return rule(tx, &setup)
	})
}

// TOTPSetupGetSecretAnonymous is TOTPSetupGetSecret for who has the token of a reset
// (docs/protocol/v5/enrollment.md §4.2).
func (r *Rules) TOTPSetupGetSecretAnonymous(ctx context.Context, anonymous *Anonymous, request *protocol.TOTPSetupGetSecretAnonymousRequest) (*protocol.TOTPSetupGetSecretReply, error) {
	reply := &protocol.TOTPSetupGetSecretReply{}
	err := r.setTOTPUpAgain(ctx, anonymous, request.UserID, request.Token, func(tx Tx, setup *TOTPSetup) error {
		reply.TOTPSecret = setup.secret(tx)
		return nil
	})
	return reply, err
}

// TOTPSetupConfirmAnonymous is TOTPSetupConfirm for who has the token of a reset
// (docs/protocol/v5/enrollment.md §4.2).
func (r *Rules) TOTPSetupConfirmAnonymous(ctx context.Context, anonymous *Anonymous, request *protocol.TOTPSetupConfirmAnonymousRequest) (*protocol.TOTPSetupConfirmReply, error) {
	now := r.now()
	err := r.setTOTPUpAgain(ctx, anonymous, request.UserID, request.Token, func(tx Tx, setup *TOTPSetup) error {
		return setup.confirm(tx, now, request.OneTimePassword)
	})
	return &protocol.TOTPSetupConfirmReply{}, err
}

// setTOTPUpAgain runs rule on the setup of a user that has the token, under its lock.
// Why somebody may not is not told: strangers would learn of users.
func (r *Rules) setTOTPUpAgain(ctx context.Context, anonymous *Anonymous, user parsec3.UserID, token parsec3.AccessToken, rule func(tx Tx, setup *TOTPSetup) error) error {
	return r.updateAnonymous(ctx, anonymous, r.now(), Scope{TOTP: &user}, func(tx Tx) error {
		found, setup, err := tx.TOTP(ctx)
		if err != nil {
			return err
		}
		if !mayComeIn(found) || setup.ResetToken == nil || !setup.ResetToken.Equal(token) {
			return protocol.Refuse(protocol.StatusBadToken)
		}
		return rule(tx, &setup)
	})
}

// mayComeIn reports whether there is a user, neither revoked nor frozen; nil is none.
func mayComeIn(user *User) bool {
	return user != nil && checkNotRevoked(user) == nil && checkNotFrozen(user) == nil
}

// TOTPCreateOpaqueKey makes a key that the server keeps for the author's user
// (docs/protocol/v5/enrollment.md §4.3).
func (r *Rules) TOTPCreateOpaqueKey(ctx context.Context, author *Author, _ *protocol.TOTPCreateOpaqueKeyRequest) (*protocol.TOTPCreateOpaqueKeyReply, error) {
	reply := &protocol.TOTPCreateOpaqueKeyReply{OpaqueKeyID: parsec3.OpaqueKeyID(parsec.NewUUID())}
	rand.Read(reply.OpaqueKey[:]) // never fails
	err := r.update(ctx, author, r.now(), Scope{TOTP: &author.User}, func(tx Tx, _ *User) error {
		keys, err := tx.OpaqueKeys(ctx)
		if err != nil {
			return err
		}
		if keys >= maxOpaqueKeys {
			return TooMany
		}
		tx.CreateOpaqueKey(reply.OpaqueKeyID, reply.OpaqueKey)
		return nil
	})
	return reply, err
}

// TOTPFetchOpaqueKey returns a key to who has a one-time password of its user
// (docs/protocol/v5/enrollment.md §4.4). Guesses at one key wait for each other, and
// each counts, and is stored, before its answer is known to anybody: so those that are
// sent at once are one guess, and the others are throttled.
func (r *Rules) TOTPFetchOpaqueKey(ctx context.Context, anonymous *Anonymous, request *protocol.TOTPFetchOpaqueKeyRequest) (*protocol.TOTPFetchOpaqueKeyReply, error) {
	now := r.now()
	var reply *protocol.TOTPFetchOpaqueKeyReply
	scope := Scope{OpaqueKey: &OpaqueKeyName{request.UserID, request.OpaqueKeyID}}
	err := r.updateAnonymous(ctx, anonymous, now, scope, func(tx Tx) error {
		reply = nil
		user, setup, key, err := tx.OpaqueKey(ctx)
		if err != nil {
			return err
		}
		// Whatever is wrong, the same is done: who guesses at users and keys learns
		// nothing from the time it takes.
		step, right := findStep(setup.Secret, request.OneTimePassword, now, key.LastStep)
		if !mayComeIn(user) || !setup.Completed || !key.Exists {
			return protocol.Refuse(protocol.StatusInvalidOneTimePassword)
		}
		if until := key.throttledUntil(); key.Failures > 0 && now <= until {
			return protocol.RefuseThrottled(until)
		}
		if right {
			reply = &protocol.TOTPFetchOpaqueKeyReply{OpaqueKey: key.Key}
			key.Failures, key.LastStep = 0, step
		} else {
			key.Failures, key.FailedOn = key.Failures+1, now
		}
		tx.CountOpaqueKey(key)
		return nil
	})
	if err == nil && reply == nil {
		err = protocol.Refuse(protocol.StatusInvalidOneTimePassword)
	}
	return reply, err
}

// TOTPSetup is how far the one-time passwords of a user are set up.
type TOTPSetup struct {
	// Secret is what they are made of, nil for none.
	Secret    []byte
	Completed bool
	// ResetToken lets who has it set them up again; nil for none, as is that of a setup
	// that is complete.
	ResetToken *parsec3.AccessToken
}

// secret returns the secret, which is made at the first time.
func (s *TOTPSetup) secret(tx Tx) []byte {
	if s.Secret == nil {
		s.Secret = newTOTPSecret()
		tx.PutTOTP(*s)
	}
	return s.Secret
}

// confirm completes the setup by a one-time password.
func (s *TOTPSetup) confirm(tx Tx, now parsec.DateTime, password string) error {
	if _, right := findStep(s.Secret, password, now, 0); s.Secret == nil || !right {
		return protocol.Refuse(protocol.StatusInvalidOneTimePassword)
	}
	tx.PutTOTP(TOTPSetup{Secret: s.Secret, Completed: true})
	return nil
}

// OpaqueKeyName names a key of a user.
type OpaqueKeyName struct {
	User parsec3.UserID
	Key  parsec3.OpaqueKeyID
}

// OpaqueKey is a key of a user as stored, with how it was guessed at. It is zero for one
// that does not exist.
type OpaqueKey struct {
	Exists bool
	Key    parsec3.OpaqueKey
	// Failures counts wrong one-time passwords since the last right one; the last one
	// was FailedOn.
	Failures uint64
	FailedOn parsec.DateTime
	// LastStep is that of the last right one, 0 before.
	LastStep int64
}

// maxWait is the logarithm of the longest wait, in seconds: some 2000 years.
const maxWait = 36

// throttledUntil returns when the next guess is taken, after one failure at least. The
// wait doubles with each one.
func (k *OpaqueKey) throttledUntil() parsec.DateTime {
	if k.Failures == 0 {
		return 0
	}
	const second = 1_000_000
	return k.FailedOn + parsec.DateTime(second<<min(k.Failures-1, maxWait))
}

// TOTPTx is for one-time passwords. Its facts and effects are of the user of Scope.TOTP,
// or of the key of Scope.OpaqueKey.
type TOTPTx interface {
	// TOTP returns the user, nil if there is none, and its setup.
	TOTP(ctx context.Context) (*User, TOTPSetup, error)
	// OpaqueKeys counts the keys of the user.
	OpaqueKeys(ctx context.Context) (uint64, error)
	// OpaqueKey returns the user of the key, nil if there is none, its setup, and the
	// key.
	OpaqueKey(ctx context.Context) (*User, TOTPSetup, OpaqueKey, error)

	// PutTOTP replaces the setup of the user.
	PutTOTP(setup TOTPSetup)
	// CreateOpaqueKey adds a key of the user.
	CreateOpaqueKey(id parsec3.OpaqueKeyID, key parsec3.OpaqueKey)
	// CountOpaqueKey changes how the key was guessed at.
	CountOpaqueKey(key OpaqueKey)
	// ForgiveOpaqueKeys forgets how all keys of the user were guessed at.
	ForgiveOpaqueKeys()
}
