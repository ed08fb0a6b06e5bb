package main

import (
	"errors"
	"slices"

	"parsec-server/pkg/config"
	"parsec-server/pkg/mail"
	parsec2mail "parsec-server/pkg/parsec2/mail"
	parsec3mail "parsec-server/pkg/parsec3/mail"
)

// emailKinds are the e-mails of all generations: those about invitations are of both.
func emailKinds() []*mail.Kind {
	kinds := parsec2mail.Kinds()
	for _, kind := range parsec3mail.Kinds() {
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// mailOptions returns how e-mails go out. The texts of --template-dir are read, and
// judged, whether or not any goes out. The warning is "" for none.
func mailOptions(settings config.Email) (options mail.Options, warning string, err error) {
	options = mail.Options{
		Host: settings.Host, Port: settings.Port, User: settings.User, Password: settings.CurrentPassword,
		Encryption: mail.Encryption(settings.Encryption()), Sender: settings.Sender, Language: settings.Language,
	}
	if settings.Host == config.Mocked {
		options.Host = ""
	}
	if settings.TemplateFolder == "" {
		return options, "", nil
	}
	options.Templates, err = mail.ReadTemplates(settings.TemplateFolder, emailKinds())
	switch {
	case errors.Is(err, mail.ErrOfficialTemplates):
		return options, "--template-dir has no effect, e-mails and pages are the built-in ones: " + err.Error(), nil
	case err != nil:
		return options, "", &config.UsageError{Message: "--template-dir: " + err.Error()}
	}
	return options, "", nil
}
