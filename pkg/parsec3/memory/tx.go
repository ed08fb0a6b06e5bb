package memory

import (
	"bytes"

	"parsec-server/pkg/event"
	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

var _ rules.Tx = (*tx)(nil)

// tx is a transaction on an organization whose lock is held. Nothing waits in
// it, so that its methods ignore their context.
type tx struct {
	*organizationstore.Tx
	organization *organization
	scope        rules.Scope
	// realm and vlob are nil when they do not exist; realm may be one that
	// the transaction creates, once createsRealm.
	realm        *realm
	createsRealm bool
	vlob         *vlob
	// invitations are those that it has locked beside that of the scope.
	invitations map[parsec3.AccessToken]bool
	// common, sequester, shamir and inRealm are the last dates of the topics,
	// certificates whose effect is queued included.
	common, sequester, shamir, inRealm parsec.DateTime
	// ended is the enrollment that the transaction ends, nil for none.
	ended *parsec3.EnrollmentID
}

func begin(under *organizationstore.Tx, scope rules.Scope) *tx {
	t := &tx{Tx: under, organization: stateOf(under.Cell), scope: scope, invitations: map[parsec3.AccessToken]bool{}}
	t.Locked = &t.scope
	t.common, t.sequester, t.shamir = t.organization.topics.Common, t.organization.topics.Sequester, t.organization.topics.Shamir
	if scope.RealmLock == rules.Unlocked {
		return t
	}
	if t.realm = t.organization.realms[scope.Realm]; t.realm != nil {
		t.vlob, t.inRealm = t.realm.vlobs[scope.Vlob], t.realm.facts.Timestamp
	}
	return t
}

// Emit implements rules.Tx.
func (t *tx) Emit(e event.Event) { t.Tx.Emit(ownEvent(e)) }

// Topics implements rules.Tx.
func (t *tx) Topics() rules.Topics { return t.organization.topics }

// Author implements rules.Tx.
func (t *tx) Author() (*rules.User, *rules.Device) {
	standing := t.organization.standing(t.scope.Author)
	return standing.User, standing.Device
}

// queueCommon queues an effect that adds a certificate to the common topic.
func (t *tx) queueCommon(name string, possible bool, certificate rules.Certificate, effect func(rules.Certificate)) {
	certificate = copyCertificate(certificate)
	allowed := possible && t.scope.Common == rules.Exclusive && certificate.Timestamp > t.common
	t.common = max(t.common, certificate.Timestamp)
	t.Queue(name, allowed, func() {
		t.organization.topics.Common = certificate.Timestamp
		t.organization.addCommon(certificate)
		effect(certificate)
	})
}

// queueRealm queues an effect that adds a certificate to the topic of the realm.
func (t *tx) queueRealm(name string, possible bool, certificate rules.Certificate, effect func(*realm)) {
	certificate = copyCertificate(certificate)
	allowed := possible && t.scope.Common != rules.Unlocked && t.scope.RealmLock == rules.Exclusive &&
		t.realm != nil && certificate.Timestamp > t.inRealm
	t.inRealm = max(t.inRealm, certificate.Timestamp)
	t.Queue(name, allowed, func() {
		t.realm.facts.Timestamp = certificate.Timestamp
		t.realm.certificates = append(t.realm.certificates, certificate)
		t.organization.sign(certificate.Author, certificate.Timestamp)
		effect(t.realm)
	})
}

// queueSequester queues an effect that adds a certificate to the sequester topic.
func (t *tx) queueSequester(name string, possible bool, certificate rules.Certificate, effect func()) {
	certificate = copyCertificate(certificate)
	allowed := possible && t.scope.Sequester == rules.Exclusive && t.sequester != 0 && certificate.Timestamp > t.sequester
	t.sequester = max(t.sequester, certificate.Timestamp)
	t.Queue(name, allowed, func() {
		t.organization.topics.Sequester = certificate.Timestamp
		t.organization.sequester = append(t.organization.sequester, certificate)
		effect()
	})
}

// queueShamir queues an effect that adds certificates to the topic of Shamir recovery,
// of one author and date.
func (t *tx) queueShamir(name string, possible bool, first rules.Certificate, effect func()) {
	allowed := possible && t.scope.Common != rules.Unlocked && t.scope.Shamir == rules.Exclusive && first.Timestamp > t.shamir
	t.shamir = max(t.shamir, first.Timestamp)
	t.Queue(name, allowed, func() {
		t.organization.topics.Shamir = first.Timestamp
		t.organization.sign(first.Author, first.Timestamp)
		effect()
	})
}

// holdsRealm reports whether the transaction may write data of its realm.
func (t *tx) holdsRealm() bool {
	return t.scope.Common != rules.Unlocked && t.scope.RealmLock != rules.Unlocked && t.realm != nil && !t.createsRealm
}

func copyCertificate(certificate rules.Certificate) rules.Certificate {
	certificate.Bytes = bytes.Clone(certificate.Bytes)
	certificate.Redacted = bytes.Clone(certificate.Redacted)
	return certificate
}
