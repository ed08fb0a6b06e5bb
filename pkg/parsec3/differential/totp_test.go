package differential

import (
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// password is the one of a user on a side, most often.
func (w *twins) password(user parsec3.UserID) func(side *twin) string {
	wrong, at := w.chance(5), *w.now
	return func(side *twin) string {
		secret, known := w.secrets[w.side(side)][user]
		if !known || wrong {
			return "no password"
		}
		return testclient3.OneTimePassword(secret, at)
	}
}

// keepSecret has a side make passwords. The secrets of both differ.
func (w *twins) keepSecret(side *twin, user parsec3.UserID, reply *protocol.TOTPSetupGetSecretReply, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	w.secrets[w.side(side)][user] = reply.TOTPSecret
	return len(reply.TOTPSecret), nil
}

func (w *twins) totpSetupGetSecret() question { return w.newSecret(w.anyAuthor()) }

func (w *twins) newSecret(author *rules.Author) question {
	return func(side *twin) (any, error) {
		reply, err := side.TOTPSetupGetSecret(w.ctx, author, &protocol.TOTPSetupGetSecretRequest{})
		return w.keepSecret(side, author.User, reply, err)
	}
}

func (w *twins) totpSetupConfirm() question { return w.confirmSecret(w.anyAuthor()) }

func (w *twins) confirmSecret(author *rules.Author) question {
	password := w.password(author.User)
	return func(side *twin) (any, error) {
		return side.TOTPSetupConfirm(w.ctx, author, &protocol.TOTPSetupConfirmRequest{OneTimePassword: password(side)})
	}
}

func (w *twins) totpCreateOpaqueKey() question { return w.newOpaqueKey(w.anyAuthor()) }

func (w *twins) newOpaqueKey(author *rules.Author) question {
	return func(side *twin) (any, error) {
		reply, err := side.TOTPCreateOpaqueKey(w.ctx, author, &protocol.TOTPCreateOpaqueKeyRequest{})
		if err == nil {
			w.opaqueKeys.add(w, side, playKey{author.User, reply.OpaqueKeyID, reply.OpaqueKey})
			return nil, nil
		}
		return nil, err
	}
}

// playKey is a key that a side keeps.
type playKey struct {
	user parsec3.UserID
	id   parsec3.OpaqueKeyID
	key  parsec3.OpaqueKey
}

// totpFetchOpaqueKey reports whether it is the right one: more often than not, of who has
// just had it made.
func (w *twins) totpFetchOpaqueKey() question {
	if !w.chance(3) {
		author := w.anyAuthor()
		w.ask("totp_setup_get_secret", w.newSecret(author))
		w.ask("totp_setup_confirm", w.confirmSecret(author))
		w.ask("totp_create_opaque_key", w.newOpaqueKey(author))
	}
	number := w.opaqueKeys.latest(w)
	password := w.password(w.opaqueKeys.at(w, w.sides[0], number).user)
	return func(side *twin) (any, error) {
		kept := w.opaqueKeys.at(w, side, number)
		reply, err := side.TOTPFetchOpaqueKey(w.ctx, w.stranger(), &protocol.TOTPFetchOpaqueKeyRequest{
			UserID: kept.user, OpaqueKeyID: kept.id, OneTimePassword: password(side),
		})
		if err != nil {
			return nil, err
		}
		return reply.OpaqueKey == kept.key, nil
	}
}

func (w *twins) resetTOTP() question {
	user := w.user()
	choice := organization.UserChoice{ID: user.String()}
	return func(side *twin) (any, error) {
		location := must(parsec.Parsec3Scheme.ParseServerAddress("parsec3://parsec.example.com")).LocationOf(w.organization)
		reset, err := side.ResetTOTP(w.ctx, w.organization, choice, location)
		if err != nil {
			return nil, err
		}
		address, err := parsec3.ParseAddress(reset.Link.URL)
		if err != nil {
			return nil, err
		}
		w.resets.add(w, side, address.Target.(parsec3.TOTPResetTarget))
		return reset.User, nil
	}
}

func (w *twins) totpAnonymous() question {
	number := w.resets.latest(w)
	password := w.password(w.resets.at(w, w.sides[0], number).User)
	w.ask("totp_setup_get_secret of a reset", func(side *twin) (any, error) {
		reset := w.resets.at(w, side, number)
		reply, err := side.TOTPSetupGetSecretAnonymous(w.ctx, w.stranger(), &protocol.TOTPSetupGetSecretAnonymousRequest{UserID: reset.User, Token: reset.Token})
		return w.keepSecret(side, reset.User, reply, err)
	})
	return func(side *twin) (any, error) {
		reset := w.resets.at(w, side, number)
		return side.TOTPSetupConfirmAnonymous(w.ctx, w.stranger(), &protocol.TOTPSetupConfirmAnonymousRequest{
			UserID: reset.User, Token: reset.Token, OneTimePassword: password(side),
		})
	}
}
