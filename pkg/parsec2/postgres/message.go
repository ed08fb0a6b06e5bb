package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// selectMessages takes the organization, the user, the offset $3, the bytes $4,
// and what a message takes beside its body $5. The last one that fits is found
// by the lengths alone, which are known without reading the bodies.
const selectMessages = `
SELECT m.position, sender_user.user_id || '@' || sender.name, m.sent_on, m.body, u.message_count > m.position
FROM organization o
JOIN user_ u ON u.organization = o.id
JOIN message m ON m.recipient = u.id
JOIN device sender ON sender.id = m.sender
JOIN user_ sender_user ON sender_user.id = sender.user_
WHERE o.organization_id = $1 AND u.user_id = $2 AND m.position > $3 AND m.position <= (
    SELECT max(sized.position)
    FROM (
        SELECT following.position, row_number() OVER listed AS place, sum(following.length + $5::integer) OVER listed AS bytes
        FROM (
            SELECT m.position, length(m.body) AS length
            FROM organization o
            JOIN user_ u ON u.organization = o.id
            JOIN message m ON m.recipient = u.id
            WHERE o.organization_id = $1 AND u.user_id = $2 AND m.position > $3
            ORDER BY m.position
            LIMIT $4::bigint / $5::integer + 1
        ) following
        WINDOW listed AS (ORDER BY following.position ROWS UNBOUNDED PRECEDING)
    ) sized
    WHERE sized.bytes <= $4::bigint OR sized.place = 1)
ORDER BY m.position`

// Messages implements rules.MessageReader.
func (s *Store) Messages(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, offset, bytes uint64) (messages []rules.Message, left bool, err error) {
	err = s.One(ctx, database.List(&messages, selectMessages,
		[]any{organization.String(), user.String(), database.Bounded(offset), database.Bounded(bytes), protocol.MessageBytes},
		func(m *rules.Message) []any {
			m.Recipient = user
			return []any{(*database.Unsigned)(&m.Index), database.Parsed(&m.Sender), (*database.Integer)(&m.Timestamp), &m.Body, &left}
		}))
	return messages, left, err
}

// MessageCounts implements rules.MessageTx.
func (t *tx) MessageCounts(_ context.Context, recipients []parsec.UserID) (map[parsec.UserID]uint64, error) {
	ids := make([]string, len(recipients))
	for i, recipient := range recipients {
		ids[i] = recipient.String()
	}
	type messageCount struct {
		user  parsec.UserID
		count uint64
	}
	var rows []messageCount
	err := t.Ask(database.List(&rows, `
SELECT u.user_id, u.message_count
FROM organization o JOIN user_ u ON u.organization = o.id
WHERE o.organization_id = $1 AND u.user_id = ANY ($2::text[])
ORDER BY u.user_id
FOR NO KEY UPDATE OF u`,
		[]any{t.organizationName(), ids}, func(c *messageCount) []any {
			return []any{database.Parsed(&c.user), (*database.Unsigned)(&c.count)}
		}))
	counts := make(map[parsec.UserID]uint64, len(recipients))
	for _, row := range rows {
		counts[row.user] = row.count
	}
	return counts, err
}

// AddMessage implements rules.MessageTx.
func (t *tx) AddMessage(message rules.Message) {
	t.QueueOne(`
WITH recipient AS (
    UPDATE user_ SET message_count = $3
    FROM organization o
    WHERE o.organization_id = $1 AND user_.organization = o.id AND user_.user_id = $2
    RETURNING user_.id, user_.organization
)
INSERT INTO message (recipient, position, sender, sent_on, body)
SELECT recipient.id, $3, d.id, $6, $7
FROM recipient
JOIN user_ u ON u.organization = recipient.organization AND u.user_id = $4
JOIN device d ON d.user_ = u.id AND d.name = $5`,
		t.organizationName(), message.Recipient.String(), database.Bounded(message.Index), message.Sender.User().String(),
		message.Sender.Name().String(), int64(message.Timestamp), database.NotNull(message.Body))
}
