// Package mail sends e-mails, by SMTP or, where the host is MOCKED, to files. It has
// the wording of invitations, which both generations share
// (docs/protocol/invite.md §6, docs/protocol/v5/invite.md §8).
//
// Names and addresses come from people whom nobody has vetted. An address that
// is not exactly one is refused before anything is sent; whatever else goes
// into a header loses its control characters first, and templates escape what
// they show.
//
// A Mailer has no goroutine of its own: whoever asks waits, until the e-mail is
// handed over or its context ends.
package mail
