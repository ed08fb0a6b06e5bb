package server

// pageLanguage holds the words of pages, in the voice of the e-mails
// (pkg/mail).
type pageLanguage struct {
	Language                           string
	home, notFound, noAddress, opening pageWords
	Install, OpenAgain, Open, Paste    string
	Documentation                      string
}

// pageWords are those of one page. Without Help it does not say how to open a
// link.
type pageWords struct{ Heading, Lead, Help string }

// pageLanguages has the one for everybody else first.
var pageLanguages = []pageLanguage{
	{
		Language: "en",
		home: pageWords{
			Heading: "A Parsec server is running here",
			Lead:    "Organizations share files through it that nobody else can read. You reach them with the Parsec application rather than with a browser.",
			Help:    "You received an invitation?",
		},
		notFound: pageWords{
			Heading: "There is no such page",
			Lead:    "Check the address: the end of a long link may be missing.",
			Help:    "You received an invitation?",
		},
		noAddress: pageWords{
			Heading: "This server cannot open links",
			Lead:    "It does not know the address that it is reached by. Please tell its administrator: the setting is PARSEC_SERVER_ADDR.",
		},
		opening: pageWords{
			Heading: "Opening Parsec…",
			Lead:    "Your browser may ask whether it may open Parsec: accept.",
			Help:    "Nothing happens?",
		},
		Install:       "Install Parsec on this device, if it is not there yet:",
		OpenAgain:     "Open the link that you received. If nothing happens, copy it and paste it in Parsec.",
		Open:          "Open in Parsec",
		Paste:         "Open the link again, or copy this one and paste it in Parsec:",
		Documentation: "User documentation:",
	},
	{
		Language: "fr",
		home: pageWords{
			Heading: "Un serveur Parsec fonctionne ici",
			Lead:    "Des organisations y partagent des fichiers que personne d’autre ne peut lire. On y accède avec l’application Parsec plutôt qu’avec un navigateur.",
			Help:    "Vous avez reçu une invitation\u00a0?",
		},
		notFound: pageWords{
			Heading: "Cette page n’existe pas",
			Lead:    "Vérifiez l’adresse\u00a0: il manque peut-être la fin d’un long lien.",
			Help:    "Vous avez reçu une invitation\u00a0?",
		},
		noAddress: pageWords{
			Heading: "Ce serveur ne peut pas ouvrir de lien",
			Lead:    "Il ne connaît pas sa propre adresse. Merci de prévenir son administrateur\u00a0: le réglage est PARSEC_SERVER_ADDR.",
		},
		opening: pageWords{
			Heading: "Ouverture de Parsec…",
			Lead:    "Votre navigateur demande peut-être s’il peut ouvrir Parsec\u00a0: acceptez.",
			Help:    "Rien ne se passe\u00a0?",
		},
		Install:       "Installez Parsec sur cet appareil, s’il n’y est pas déjà\u00a0:",
		OpenAgain:     "Ouvrez le lien que vous avez reçu. Si rien ne se passe, copiez-le et collez-le dans Parsec.",
		Open:          "Ouvrir dans Parsec",
		Paste:         "Ouvrez le lien de nouveau, ou copiez celui-ci et collez-le dans Parsec\u00a0:",
		Documentation: "Documentation\u00a0:",
	},
}
