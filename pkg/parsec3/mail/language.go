package mail

import (
	"parsec-server/pkg/mail"
	"parsec-server/pkg/parsec3/rules"
)

// letters are those of a language.
type letters struct {
	// unknown stands for an address that nobody knows.
	unknown                       string
	enrollmentAccepted, totpReset mail.Letter
	account                       map[rules.AccountMailKind]mail.Letter
}

// languages are those of --email-language.
var languages = map[string]*letters{
	"en": {
		unknown: "unknown",
		enrollmentAccepted: mail.Letter{
			Subject: "[Parsec] Request accepted to join {{organization}}",
			Heading: "You may join {{organization}}",
			Intro:   "You asked to join the organization {{organization}} on Parsec, and one of its administrators has accepted.",
			Facts:   []mail.Fact{{Name: "Organization", Value: "{{organization}}"}, {Name: "Server", Value: "{{address}}"}},
			Steps: []mail.Step{
				{Text: "Open Parsec on the device that you asked from, which has what only you know of the request. If Parsec is no longer there:", URL: "{{download}}"},
				{Text: "Choose your request to join {{organization}}, which is accepted now, and finish it. From then on you log in there."},
			},
			Unexpected: "If you did not ask to join {{organization}}, tell its administrators: somebody may have asked in your name. This message alone lets nobody in.",
		},
		totpReset: mail.Letter{
			Subject: "[Parsec] Your MFA has been reset for {{organization}}",
			Heading: "Set up your one-time passwords again",
			Intro:   "Who runs the Parsec server {{server}} has reset your second factor (MFA) for the organization {{organization}}. Devices that it protects can only be opened once you have set it up again.",
			Facts:   []mail.Fact{{Name: "User", Value: "{{recipient}}"}, {Name: "Organization", Value: "{{organization}}"}},
			Steps: []mail.Step{
				{Text: "Have at hand the application that shows your one-time passwords. If Parsec is not on this device yet:", URL: "{{download}}"},
				{Text: "Open the link, and follow what Parsec says. Remove the old codes from your application: they no longer work."},
			},
			Link:       "{{link}}",
			Button:     "Set up one-time passwords",
			Unexpected: "If you asked nobody for it, tell an administrator of {{organization}} before you do anything else. Hand the link on to nobody: whoever has it can set up the one-time passwords in your place.",
		},
		account: map[rules.AccountMailKind]mail.Letter{
			rules.AccountCreation: {
				Code:    "{{code}}",
				Subject: "Parsec Account: Confirm your email address",
				Heading: "Confirm your e-mail address",
				Intro:   "A Parsec account for this address is about to be created on the server {{server}}.",
				Facts:   []mail.Fact{{Name: "Account", Value: "{{recipient}}"}},
				Steps: []mail.Step{
					{Text: "Install {{client}} on this computer, if it is not there yet:", URL: "{{download}}"},
					{Text: "Type this code in Parsec within an hour:"},
				},
				Unexpected: "If you did not ask for an account, ignore this message: without the code none is created. Give the code to nobody.",
			},
			rules.AccountDeletion: {
				Code:    "{{code}}",
				Subject: "Parsec Account: Confirm account deletion",
				Heading: "Confirm the deletion of your account",
				Intro:   "Your Parsec account on the server {{server}} is about to be deleted, with all that its vault keeps. What you are in organizations stays.",
				Facts:   []mail.Fact{{Name: "Account", Value: "{{recipient}}"}},
				Steps: []mail.Step{
					{Text: "Open Parsec. If it is not installed yet:", URL: "{{download}}"},
					{Text: "If you are sure, type this code within an hour:"},
				},
				Unexpected: "If you did not ask for it, somebody else uses your account: give the code to nobody, change the password of the account, and tell who runs {{server}}.",
			},
			rules.AccountRecovery: {
				Code:    "{{code}}",
				Subject: "Parsec Account: Confirm account recovery",
				Heading: "Confirm the recovery of your account",
				Intro:   "Access to your Parsec account on the server {{server}} is about to be recovered, with a new password. Devices whose keys only the old vault holds can then no longer be opened.",
				Facts:   []mail.Fact{{Name: "Account", Value: "{{recipient}}"}},
				Steps: []mail.Step{
					{Text: "Install {{client}} on this computer, if it is not there yet:", URL: "{{download}}"},
					{Text: "Type this code in Parsec within an hour:"},
				},
				Unexpected: "If you did not ask for it, give the code to nobody, and tell who runs {{server}}. Without the code nothing happens.",
			},
			rules.AccountExists: {
				Subject: "Parsec Account: You have an account already",
				Heading: "You have an account already",
				Intro:   "Somebody, probably you, wants to create a Parsec account for this address on the server {{server}}, where it has one. Nothing was changed.",
				Facts:   []mail.Fact{{Name: "Account", Value: "{{recipient}}"}},
				Steps: []mail.Step{
					{Text: "Open Parsec. If it is not installed yet:", URL: "{{download}}"},
					{Text: "Log in with the password of your account. If you have lost it, choose to recover the account: you get a code at this address."},
				},
				Unexpected: "If you did not ask for an account, ignore this message: whoever asked was not told that you have one.",
			},
			rules.AccountRecovered: {
				Subject: "Parsec Account: Your account was recovered",
				Heading: "Your account was recovered",
				Intro:   "Access to your Parsec account on the server {{server}} was recovered with a code that was sent to this address. All earlier passwords are disabled, and devices whose keys only the old vault holds can no longer be opened.",
				Facts:   []mail.Fact{{Name: "Account", Value: "{{recipient}}"}, {Name: "Date", Value: "{{date}}"}, {Name: "From", Value: "{{from}}"}},
				Steps: []mail.Step{
					{Text: "If it was you, there is nothing more to do. Parsec is here:", URL: "{{download}}"},
				},
				Unexpected: "If it was not you, somebody reads your e-mails: change the password of your mailbox first, then recover the account in your turn, and tell who runs {{server}}.",
			},
		},
	},
	"fr": {
		unknown: "inconnue",
		enrollmentAccepted: mail.Letter{
			Subject: "[Parsec] Demande acceptée pour rejoindre {{organization}}",
			Heading: "Vous pouvez rejoindre {{organization}}",
			Intro:   "Vous avez demandé à rejoindre l’organisation {{organization}} sur Parsec, et l’un de ses administrateurs a accepté.",
			Facts:   []mail.Fact{{Name: "Organisation", Value: "{{organization}}"}, {Name: "Serveur", Value: "{{address}}"}},
			Steps: []mail.Step{
				{Text: "Ouvrez Parsec sur l’appareil d’où vous avez fait la demande\u00a0: lui seul en garde les clés. Si Parsec n’y est plus\u00a0:", URL: "{{download}}"},
				{Text: "Choisissez votre demande pour rejoindre {{organization}}, désormais acceptée, et terminez-la. Dès lors, vous vous y connectez."},
			},
			Unexpected: "Si vous n’avez pas demandé à rejoindre {{organization}}, prévenez ses administrateurs\u00a0: quelqu’un a peut-être fait la demande en votre nom. Ce message seul ne donne accès à personne.",
		},
		totpReset: mail.Letter{
			Subject: "[Parsec] Votre double authentification pour {{organization}} a été réinitialisée",
			Heading: "Configurez de nouveau vos mots de passe à usage unique",
			Intro:   "Votre double authentification pour l’organisation {{organization}} a été réinitialisée par les responsables du serveur Parsec {{server}}. Les appareils qu’elle protège ne s’ouvriront qu’après sa nouvelle configuration.",
			Facts:   []mail.Fact{{Name: "Personne", Value: "{{recipient}}"}, {Name: "Organisation", Value: "{{organization}}"}},
			Steps: []mail.Step{
				{Text: "Préparez l’application qui affiche vos mots de passe à usage unique. Si Parsec n’est pas encore sur cet appareil\u00a0:", URL: "{{download}}"},
				{Text: "Ouvrez le lien et suivez ce que dit Parsec. Supprimez les anciens codes de votre application\u00a0: ils ne servent plus à rien."},
			},
			Link:       "{{link}}",
			Button:     "Configurer les mots de passe",
			Unexpected: "Si vous n’avez rien demandé, prévenez d’abord un administrateur de {{organization}}. Ne transmettez le lien à personne\u00a0: qui le possède peut configurer les mots de passe à usage unique à votre place.",
		},
		account: map[rules.AccountMailKind]mail.Letter{
			rules.AccountCreation: {
				Code:    "{{code}}",
				Subject: "Compte Parsec\u00a0: confirmez votre adresse e-mail",
				Heading: "Confirmez votre adresse e-mail",
				Intro:   "Un compte Parsec est sur le point d’être créé pour cette adresse sur le serveur {{server}}.",
				Facts:   []mail.Fact{{Name: "Compte", Value: "{{recipient}}"}},
				Steps: []mail.Step{
					{Text: "Installez {{client}} sur cet ordinateur, s’il n’y est pas déjà\u00a0:", URL: "{{download}}"},
					{Text: "Saisissez ce code dans Parsec\u00a0; il est valable une heure\u00a0:"},
				},
				Unexpected: "Si vous n’avez pas demandé de compte, ignorez ce message\u00a0: sans le code, aucun n’est créé. Ne donnez le code à personne.",
			},
			rules.AccountDeletion: {
				Code:    "{{code}}",
				Subject: "Compte Parsec\u00a0: confirmez la suppression",
				Heading: "Confirmez la suppression de votre compte",
				Intro:   "Votre compte Parsec sur le serveur {{server}} est sur le point d’être supprimé, avec tout ce que garde son coffre. Votre place dans les organisations ne change pas.",
				Facts:   []mail.Fact{{Name: "Compte", Value: "{{recipient}}"}},
				Steps: []mail.Step{
					{Text: "Ouvrez Parsec. S’il n’est pas encore installé\u00a0:", URL: "{{download}}"},
					{Text: "Si vous voulez vraiment supprimer le compte, saisissez ce code\u00a0; il est valable une heure\u00a0:"},
				},
				Unexpected: "Si vous n’avez rien demandé, quelqu’un d’autre utilise votre compte\u00a0: ne donnez le code à personne, changez le mot de passe du compte et prévenez les responsables de {{server}}.",
			},
			rules.AccountRecovery: {
				Code:    "{{code}}",
				Subject: "Compte Parsec\u00a0: confirmez la récupération",
				Heading: "Confirmez la récupération de votre compte",
				Intro:   "L’accès à votre compte Parsec sur le serveur {{server}} est sur le point d’être récupéré, avec un nouveau mot de passe. Les appareils dont seul l’ancien coffre contient les clés ne pourront alors plus être ouverts.",
				Facts:   []mail.Fact{{Name: "Compte", Value: "{{recipient}}"}},
				Steps: []mail.Step{
					{Text: "Installez {{client}} sur cet ordinateur, s’il n’y est pas déjà\u00a0:", URL: "{{download}}"},
					{Text: "Saisissez ce code dans Parsec\u00a0; il est valable une heure\u00a0:"},
				},
				Unexpected: "Si vous n’avez rien demandé, ne donnez le code à personne et prévenez les responsables de {{server}}. Sans le code, rien ne se passe.",
			},
			rules.AccountExists: {
				Subject: "Compte Parsec\u00a0: vous avez déjà un compte",
				Heading: "Vous avez déjà un compte",
				Intro:   "Quelqu’un, sans doute vous, veut créer un compte Parsec pour cette adresse sur le serveur {{server}}, où elle en a déjà un. Rien n’a été modifié.",
				Facts:   []mail.Fact{{Name: "Compte", Value: "{{recipient}}"}},
				Steps: []mail.Step{
					{Text: "Ouvrez Parsec. S’il n’est pas encore installé\u00a0:", URL: "{{download}}"},
					{Text: "Connectez-vous avec le mot de passe de votre compte. Si vous l’avez perdu, choisissez de récupérer le compte\u00a0: un code arrive à cette adresse."},
				},
				Unexpected: "Si vous n’avez pas demandé de compte, ignorez ce message\u00a0: la personne qui l’a demandé ne sait pas que vous en avez un.",
			},
			rules.AccountRecovered: {
				Subject: "Compte Parsec\u00a0: votre compte a été récupéré",
				Heading: "Votre compte a été récupéré",
				Intro:   "L’accès à votre compte Parsec sur le serveur {{server}} a été récupéré grâce à un code envoyé à cette adresse. Les anciens mots de passe sont désactivés, et les appareils dont seul l’ancien coffre contient les clés ne peuvent plus être ouverts.",
				Facts:   []mail.Fact{{Name: "Compte", Value: "{{recipient}}"}, {Name: "Date", Value: "{{date}}"}, {Name: "Depuis", Value: "{{from}}"}},
				Steps: []mail.Step{
					{Text: "Si c’était vous, il n’y a rien de plus à faire. Parsec se trouve ici\u00a0:", URL: "{{download}}"},
				},
				Unexpected: "Si ce n’était pas vous, quelqu’un lit vos e-mails\u00a0: changez d’abord le mot de passe de votre messagerie, puis récupérez le compte à votre tour et prévenez les responsables de {{server}}.",
			},
		},
	},
}
