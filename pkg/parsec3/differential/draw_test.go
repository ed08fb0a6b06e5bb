package differential

import (
	"crypto/ed25519"
	"slices"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/rules"
)

// number draws one of both ends and those between, each as often.
func (w *twins) number(from, to int) int { return from + w.dice.IntN(to-from+1) }

// chance is true once in so many times.
func (w *twins) chance(of int) bool { return w.number(1, of) == of }

func pick[T any](w *twins, from ...T) T { return from[w.dice.IntN(len(from))] }

func (w *twins) user() parsec3.UserID  { return playUser(w.number(0, playUsers-1)) }
func (w *twins) vlob() parsec.VlobID   { return playVlob(w.number(0, playVlobs-1)) }
func (w *twins) block() parsec.BlockID { return playBlock(w.number(0, playBlocks-1)) }
func (w *twins) service() parsec.SequesterServiceID {
	return playService(w.number(0, playServices-1))
}

// author is a device as authenticated.
func (w *twins) author(device parsec3.DeviceID) *rules.Author {
	api := parsec.APIVersion{Major: 5, Minor: 6}
	return &rules.Author{
		Organization: w.organization, Device: device, User: playOwner(device), VerifyKey: verifyKey(device), API: api,
	}
}

// anyAuthor is one of those that were created, with any client; seldom one that does
// not exist.
func (w *twins) anyAuthor() *rules.Author {
	device := pick(w, w.devices...)
	if w.chance(60) {
		device = playDevice(w.number(0, playUsers-1), 9)
	}
	author := w.author(device)
	author.API.Minor = uint32(pick(w, 0, 4, 5, 6))
	return author
}

// realm is most often one that exists.
func (w *twins) realm() parsec.RealmID {
	if w.chance(10) {
		return w.anyRealm()
	}
	var existing []parsec.RealmID
	for i := range playRealms {
		if facts, _ := w.facts(playRealm(i)); facts.Timestamp != 0 {
			existing = append(existing, playRealm(i))
		}
	}
	if len(existing) == 0 {
		return w.anyRealm()
	}
	return pick(w, existing...)
}

func (w *twins) anyRealm() parsec.RealmID { return playRealm(w.number(0, playRealms-1)) }

// administrator is most often an ADMIN.
func (w *twins) administrator() *rules.Author {
	known := w.known()
	administrators := slices.DeleteFunc(slices.Clone(known), func(user rules.User) bool {
		return user.Profile != parsec.ProfileAdmin || user.RevokedOn != nil
	})
	if len(administrators) == 0 || w.chance(6) {
		return w.anyAuthor()
	}
	return w.author(playDevice(int(pick(w, administrators...).ID[1]), 0))
}

// manager is most often a member of the realm, as often as not an OWNER.
func (w *twins) manager(realm parsec.RealmID) *rules.Author {
	_, members := w.facts(realm)
	if len(members) == 0 || w.chance(6) {
		return w.anyAuthor()
	}
	if active := slices.DeleteFunc(slices.Clone(members), func(member rules.Member) bool { return member.Revoked }); len(active) > 0 && !w.chance(10) {
		members = active
	}
	owners := slices.DeleteFunc(slices.Clone(members), func(member rules.Member) bool { return member.Role != parsec.RoleOwner })
	if len(owners) > 0 && w.chance(2) {
		members = owners
	}
	return w.author(playDevice(int(pick(w, members...).User[1]), 0))
}

// known are the users that the first side knows.
func (w *twins) known() []rules.User {
	known, err := w.sides[0].store.Users(w.ctx, w.organization)
	if err != nil {
		w.Fatalf("users: %v", err)
	}
	return known
}

// target is most often another user that exists.
func (w *twins) target(author *rules.Author) parsec3.UserID {
	others := slices.DeleteFunc(w.known(), func(user rules.User) bool { return user.ID == author.User || user.RevokedOn != nil })
	if len(others) == 0 || w.chance(8) {
		return w.user()
	}
	return pick(w, others...).ID
}

// date is most often that of the clock, or what a refusal has just asked for.
func (w *twins) date() parsec.DateTime {
	switch w.number(1, 20) {
	case 1:
		return *w.now - parsec.DateTime(w.number(0, 5_000_000))
	case 2, 3:
		return *w.now + parsec.DateTime(w.number(0, 20_000_000))
	case 4:
		return w.now.Add(pick(w, -320*time.Second, -320*time.Second+time.Microsecond, 300*time.Second, 300*time.Second-time.Microsecond))
	case 5, 6, 7, 8:
		return max(*w.now, w.required+1)
	default:
		return *w.now
	}
}

// signable is a certificate.
type signable interface {
	Sign(key ed25519.PrivateKey) ([]byte, error)
}

// sign is seldom spoiled.
func (w *twins) sign(author *rules.Author, content signable) []byte {
	return w.spoil(author, must(content.Sign(signingKey(author.Device))), content)
}

func (w *twins) spoil(author *rules.Author, signed []byte, content signable) []byte {
	if !w.chance(50) {
		return signed
	}
	switch pick(w, "cut", "changed", "of another key", "of another kind", "empty") {
	case "cut":
		return signed[:w.number(0, len(signed)-1)]
	case "changed":
		changed := slices.Clone(signed)
		changed[w.number(0, len(signed)-1)] ^= 1 << w.number(0, 7)
		return changed
	case "of another key":
		return must(content.Sign(signingKey(playDevice(7, 7))))
	case "of another kind":
		other := certificate.RealmName{Author: author.Device, Timestamp: *w.now, RealmID: w.realm(), KeyIndex: 1}
		if _, same := content.(certificate.RealmName); same {
			return must(certificate.RevokedUser{Author: author.Device, Timestamp: *w.now, UserID: w.user()}.Sign(signingKey(author.Device)))
		}
		return must(other.Sign(signingKey(author.Device)))
	default:
		return nil
	}
}

// facts returns what the first side knows of a realm.
func (w *twins) facts(realm parsec.RealmID) (facts rules.Realm, members []rules.Member) {
	scope := rules.Scope{Organization: w.organization, Common: rules.Shared, Realm: realm, RealmLock: rules.Shared}
	err := w.sides[0].store.Update(w.ctx, scope, func(tx rules.Tx) error {
		if found, exists := tx.Realm(); exists {
			facts = *found
		}
		var err error
		members, err = tx.Members(w.ctx)
		slices.SortFunc(members, func(a, b rules.Member) int { return slices.Compare(a.User[:], b.User[:]) })
		return err
	})
	if err != nil {
		w.Fatalf("facts of a realm: %v", err)
	}
	return facts, members
}

// keyIndex is most often the present one.
func (w *twins) keyIndex(realm parsec.RealmID) uint64 {
	facts, _ := w.facts(realm)
	if w.chance(15) {
		return uint64(w.number(0, 4))
	}
	return facts.KeyIndex
}
