package postgres

import "parsec-server/pkg/parsec3/rules"

// found makes the topics $2. Of one that there is not yet the last date is 0.
const found = `
INSERT INTO parsec3.topic (organization, topic, last_date)
SELECT $1, made.topic, 0 FROM unnest($2::text[]) made (topic)`

// Found implements rules.OrganizationTx.
func (t *tx) Found(user rules.User, certificate rules.Certificate, device rules.Device, deviceCertificate rules.Certificate, authority *rules.Certificate) {
	topics := []string{string(common), string(shamir), string(enrollment), string(invitation)}
	if authority != nil {
		topics = append(topics, string(sequester))
	}
	t.QueueAll(len(topics), found, t.organizationName(), topics)
	t.CreateUser(user, certificate, device, deviceCertificate)
	if authority != nil {
		t.certify(sequester, outside, 0, *authority)
	}
}
