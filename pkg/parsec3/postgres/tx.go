package postgres

import (
	"parsec-server/pkg/database"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

var _ rules.Tx = (*tx)(nil)

// tx is one run of a rule. It takes effects and events as database.Tx does, but for
// those on vlobs and blocks.
type tx struct {
	organizationstore.Tx
	scope rules.Scope
	// batch is what it is run in, in has its realm there.
	batch *batch
	in    *realmInBatch

	// What comes with the scope; nil is not found.
	author   *authorFacts
	realm    *rules.Realm
	vlob     uint32
	block    blockState
	greeting greetingRow
	// versions and blockWrite are the effects on vlobs, and on the block.
	versions   []rules.VlobVersion
	blockWrite *blockWrite
	// creates reports that it creates the realm.
	creates bool
	// failure is that of a question whose method returns none.
	failure error
}

// organizationName returns the argument $1 of every statement.
func (t *tx) organizationName() string { return t.scope.Organization.String() }

// Topics implements rules.Tx.
func (t *tx) Topics() rules.Topics { return t.author.topics }

// Author implements rules.Tx.
func (t *tx) Author() (*rules.User, *rules.Device) {
	standing := t.author.standing.facts()
	return standing.User, standing.Device
}

const (
	topicColumns = `
    (SELECT t.last_date FROM parsec3.topic t WHERE t.organization = $1 AND t.topic = 'common'),
    (SELECT t.last_date FROM parsec3.topic t WHERE t.organization = $1 AND t.topic = 'sequester'),
    (SELECT t.last_date FROM parsec3.topic t WHERE t.organization = $1 AND t.topic = 'shamir_recovery')`

	// addCertificate begins with a statement that raises the last date of the
	// topic to $4.
	addCertificate = `
INSERT INTO parsec3.certificate (organization, topic, realm_id, dated, sequence, certificate, redacted)
SELECT $1, $2, $3, $4, $5, $6, $7 FROM raised`

	addToTopic = `
WITH raised AS (
    UPDATE parsec3.topic t SET last_date = $4 WHERE t.organization = $1 AND t.topic = $2 RETURNING 1
)` + addCertificate

	addToRealm = `
WITH raised AS (
    UPDATE parsec3.realm r SET last_date = $4 WHERE r.organization = $1 AND r.realm_id = $3 RETURNING 1
)` + addCertificate

	// sign raises the last date $4 of what the user of the device $2 has signed in
	// the realm $3.
	sign = `
INSERT INTO parsec3.last_signed AS l (organization, user_id, realm_id, last_date)
SELECT $1, d.user_id, $3, $4 FROM parsec3.device d WHERE d.organization = $1 AND d.device_id = $2
ON CONFLICT (organization, user_id, realm_id) DO UPDATE SET last_date = greatest(l.last_date, excluded.last_date)`
)

func topicTargets(t *rules.Topics) []any {
	return []any{(*database.Integer)(&t.Common), (*database.Integer)(&t.Sequester), (*database.Integer)(&t.Shamir)}
}

// outside is the realm of certificates that are of none.
var outside parsec.RealmID

// certify adds a certificate to a topic. Of the same date, the one with the lower
// sequence comes first.
func (t *tx) certify(to topic, realm parsec.RealmID, sequence int16, certificate rules.Certificate) {
	sql := addToTopic
	if to == realms {
		sql = addToRealm
	}
	t.QueueOne(sql, t.organizationName(), string(to), database.Key(realm), int64(certificate.Timestamp), sequence,
		database.NotNull(certificate.Bytes), certificate.Redacted)
	t.sign(certificate.Author, realm, certificate.Timestamp)
}

// sign follows what a device has signed in a realm; the root key is no device.
func (t *tx) sign(author parsec3.DeviceID, realm parsec.RealmID, date parsec.DateTime) {
	if author != (parsec3.DeviceID{}) {
		t.Queue(sign, t.organizationName(), database.Key(author), database.Key(realm), int64(date))
	}
}
