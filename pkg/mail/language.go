package mail

import (
	"maps"
	"slices"

	"parsec-server/pkg/parsec"
)

// Languages returns the languages of e-mails, in order: en and fr.
func Languages() []string { return slices.Sorted(maps.Keys(languages)) }

// language holds the words of every e-mail, and of those about invitations.
// {{greeter}}, {{organization}}, {{client}} and {{server}} stand for values.
type language struct {
	tag                                          string
	colon                                        string
	install, linkHelp, unexpected, documentation string
	invitedBy, invited, organization, footer     string
	invitations                                  map[parsec.InvitationType]invitationWords
}

type invitationWords struct {
	subject, heading, intro, open, button, unexpected string
}

// languages are those of --email-language.
var languages = map[string]*language{
	"en": {
		tag:           "en",
		colon:         ":",
		install:       "Install {{client}} on a computer, if it is not there yet (another version does not open this invitation):",
		linkHelp:      "If the button does nothing, copy this link and paste it in {{client}}:",
		unexpected:    "You did not expect this message?",
		documentation: "User documentation:",
		invitedBy:     "Invited by", invited: "Invited", organization: "Organization",
		footer: "Sent by the Parsec server {{server}}.",
		invitations: map[parsec.InvitationType]invitationWords{
			parsec.InvitationUser: {
				subject:    "[Parsec] {{greeter}} invited you to {{organization}}",
				heading:    "{{greeter}} invites you to {{organization}}",
				intro:      "You are invited to join the organization {{organization}} on Parsec, where its members share files that nobody else can read.",
				open:       "Agree with the person who invites you on a time when both of you have Parsec open, then open the invitation. You will compare codes by phone, by video or face to face.",
				button:     "Join {{organization}}",
				unexpected: "If you do not know {{greeter}}, or are not sure, do not open the invitation: ask them another way first. Without you nothing happens, and you may delete this message.",
			},
			parsec.InvitationDevice: {
				subject:    "[Parsec] New device invitation to {{organization}}",
				heading:    "Add a device to {{organization}}",
				intro:      "You asked to use one more device with your account in the organization {{organization}} on Parsec.",
				open:       "Keep Parsec open on the device that you have already, and open the invitation on the new one. You will compare codes between the two.",
				button:     "Add this device",
				unexpected: "If you did not ask for it, do not open the invitation, tell an administrator of {{organization}}, and delete this message: somebody may be using one of your devices.",
			},
			parsec.InvitationShamirRecovery: {
				subject:    "[Parsec] Recovery invitation to {{organization}}",
				heading:    "{{greeter}} helps you recover your account",
				intro:      "The people whom you trusted with the recovery of your account in the organization {{organization}} on Parsec can now give you access again.",
				open:       "Agree with them on a time when both of you have Parsec open, then open the invitation. You will compare codes by phone, by video or face to face.",
				button:     "Recover my account",
				unexpected: "If you have not lost access to your account, do not open the invitation: ask {{greeter}} another way what this is about. Without you nothing happens.",
			},
		},
	},
	"fr": {
		tag:           "fr",
		colon:         "\u00a0:",
		install:       "Installez {{client}} sur un ordinateur, s’il n’y est pas déjà (une autre version n’ouvre pas cette invitation)\u00a0:",
		linkHelp:      "Si le bouton ne fait rien, copiez ce lien et collez-le dans {{client}}\u00a0:",
		unexpected:    "Vous n’attendiez pas ce message\u00a0?",
		documentation: "Documentation\u00a0:",
		invitedBy:     "Invitation de", invited: "Pour", organization: "Organisation",
		footer: "Envoyé par le serveur Parsec {{server}}.",
		invitations: map[parsec.InvitationType]invitationWords{
			parsec.InvitationUser: {
				subject:    "[Parsec] {{greeter}} vous invite à rejoindre {{organization}}",
				heading:    "{{greeter}} vous invite à rejoindre {{organization}}",
				intro:      "Vous recevez une invitation à rejoindre l’organisation {{organization}} sur Parsec, où ses membres partagent des fichiers que personne d’autre ne peut lire.",
				open:       "Convenez avec la personne qui vous invite d’un moment où Parsec sera ouvert chez chacun de vous, puis ouvrez l’invitation. Vous comparerez des codes par téléphone, en visio ou face à face.",
				button:     "Rejoindre {{organization}}",
				unexpected: "Si vous ne connaissez pas {{greeter}}, ou en cas de doute, n’ouvrez pas l’invitation\u00a0: demandez-lui d’abord par un autre moyen. Sans vous, rien ne se passe, et vous pouvez supprimer ce message.",
			},
			parsec.InvitationDevice: {
				subject:    "[Parsec] Invitation d’un nouvel appareil dans {{organization}}",
				heading:    "Ajouter un appareil à {{organization}}",
				intro:      "Vous avez demandé à utiliser un appareil de plus avec votre compte dans l’organisation {{organization}} sur Parsec.",
				open:       "Gardez Parsec ouvert sur l’appareil que vous avez déjà, et ouvrez l’invitation sur le nouveau. Vous comparerez des codes entre les deux.",
				button:     "Ajouter cet appareil",
				unexpected: "Si vous n’avez rien demandé, n’ouvrez pas l’invitation, prévenez un administrateur de {{organization}} et supprimez ce message\u00a0: quelqu’un utilise peut-être l’un de vos appareils.",
			},
			parsec.InvitationShamirRecovery: {
				subject:    "[Parsec] Invitation à récupérer votre compte dans {{organization}}",
				heading:    "{{greeter}} vous aide à récupérer votre compte",
				intro:      "Les personnes à qui vous avez confié la récupération de votre compte dans l’organisation {{organization}} sur Parsec peuvent maintenant vous y redonner accès.",
				open:       "Convenez avec elles d’un moment où Parsec sera ouvert chez chacun de vous, puis ouvrez l’invitation. Vous comparerez des codes par téléphone, en visio ou face à face.",
				button:     "Récupérer mon compte",
				unexpected: "Si vous n’avez pas perdu l’accès à votre compte, n’ouvrez pas l’invitation\u00a0: demandez à {{greeter}} par un autre moyen de quoi il s’agit. Sans vous, rien ne se passe.",
			},
		},
	},
}
