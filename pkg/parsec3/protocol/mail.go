package protocol

// EmailSent is what became of an e-mail: the command itself has succeeded
// (docs/protocol/v5/invite.md §2, enrollment.md §2.6).
type EmailSent string

// EmailSuccess is also for e-mails that nobody asked for.
const (
	EmailSuccess           EmailSent = "SUCCESS"
	EmailServerUnavailable EmailSent = "SERVER_UNAVAILABLE"
	EmailRecipientRefused  EmailSent = "RECIPIENT_REFUSED"
)
