// Package mail sends the e-mails about invitations
// (docs/protocol/invite.md §6), by SMTP or, where the host is MOCKED, to files.
//
// Names and addresses come from people whom nobody has vetted. An address that
// is not exactly one is refused before anything is sent; whatever else goes
// into a header loses its control characters first, and templates escape what
// they show.
//
// A Mailer has no goroutine of its own: whoever asks waits, until the e-mail is
// handed over or its context ends.
package mail
