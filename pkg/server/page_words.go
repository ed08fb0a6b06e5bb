package server

import "strings"

// pageView is what a page shows.
type pageView struct {
	Language pageLanguage
	Words    pageWords
	// Client is the name of the application that it is about, which stands for
	// {{client}} in its words, "" for none.
	Client string
	// Open is the address of its button, "" for none.
	Open          string
	Applications  []pageApplication
	Steps         []pageStep
	Documentation []pageLink
}

// named returns words with the name of the application.
func (v pageView) named(words string) string {
	return strings.ReplaceAll(words, "{{client}}", v.Client)
}

// pageApplication is one that people can get.
type pageApplication struct {
	Name, For string
	Links     []pageLink
}

// pageStep is something to do. Link and Code, which is to be copied, may be zero.
type pageStep struct {
	Text string
	Link pageLink
	Code string
}

type pageLink struct{ Text, URL string }

// pageLanguage holds the words of pages, in the voice of the e-mails
// (pkg/mail).
type pageLanguage struct {
	Language                                             string
	home, notFound, noAddress, opening, onPhone          pageWords
	Install, OpenLink, Open, InstallHere, Paste          string
	OnComputer, InstallThere, HereAfterAll               string
	applications                                         pageWords
	Parsec2, Parsec3, Download, InBrowser, Documentation string
}

// pageWords are those of one page. Without Help it has no steps.
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
			Heading: "Opening {{client}}…",
			Lead:    "Your browser may ask whether it may open Parsec: accept.",
			Help:    "Nothing happens?",
		},
		onPhone: pageWords{
			Heading: "Open this link on a computer",
			Lead:    "{{client}} is an application for Windows, macOS and Linux, not for phones and tablets.",
			Help:    "What to do",
		},
		applications: pageWords{
			Heading: "Get Parsec",
			Lead:    "Parsec is an application for Windows, macOS and Linux, not for phones and tablets. There are two, and neither opens the organizations of the other. If you received an invitation, open it: the page that comes says which one you need.",
		},
		Parsec3:       "The current one, for new organizations. Their links begin with parsec3://.",
		Parsec2:       "For organizations that were founded with Parsec 1 or 2. Its last release is 2.17. Their links begin with parsec://.",
		Download:      "Download {{client}}",
		InBrowser:     "Use it in the browser",
		Install:       "Or install Parsec on your computer first:",
		OpenLink:      "Open the link that you received, on a computer. The page that comes opens Parsec, or says which application to install.",
		Open:          "Open in Parsec",
		InstallHere:   "Install {{client}} on this computer, if it is not there yet (another version does not open this link):",
		Paste:         "Open the link again, or copy this one and paste it in {{client}}:",
		OnComputer:    "On a computer, open the link that you received. This is it, if you want to send it to yourself:",
		InstallThere:  "Install {{client}} there, if it is not there yet (another version does not open this link):",
		HereAfterAll:  "If there is Parsec on this device all the same:",
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
			Heading: "Ouverture de {{client}}…",
			Lead:    "Votre navigateur demande peut-être s’il peut ouvrir Parsec\u00a0: acceptez.",
			Help:    "Rien ne se passe\u00a0?",
		},
		onPhone: pageWords{
			Heading: "Ouvrez ce lien sur un ordinateur",
			Lead:    "{{client}} est une application pour Windows, macOS et Linux. Elle n’existe pas pour les téléphones et les tablettes.",
			Help:    "Comment faire",
		},
		applications: pageWords{
			Heading: "Obtenir Parsec",
			Lead:    "Parsec est une application pour Windows, macOS et Linux. Elle n’existe pas pour les téléphones et les tablettes. Il y en a deux versions, et aucune n’ouvre les organisations de l’autre. Si vous avez reçu une invitation, ouvrez-la\u00a0: la page qui s’affiche indique laquelle il vous faut.",
		},
		Parsec3:       "La version actuelle, pour les nouvelles organisations. Leurs liens commencent par parsec3://.",
		Parsec2:       "Pour les organisations créées avec Parsec 1 ou 2. La dernière version est la 2.17. Leurs liens commencent par parsec://.",
		Download:      "Télécharger {{client}}",
		InBrowser:     "Utiliser dans le navigateur",
		Install:       "Ou installez d’abord Parsec sur votre ordinateur\u00a0:",
		OpenLink:      "Ouvrez le lien que vous avez reçu, sur un ordinateur. La page qui s’affiche ouvre Parsec, ou indique quelle application installer.",
		Open:          "Ouvrir dans Parsec",
		InstallHere:   "Installez {{client}} sur cet ordinateur, s’il n’y est pas déjà (une autre version n’ouvre pas ce lien)\u00a0:",
		Paste:         "Ouvrez le lien de nouveau, ou copiez celui-ci et collez-le dans {{client}}\u00a0:",
		OnComputer:    "Sur un ordinateur, ouvrez le lien que vous avez reçu. Le voici, si vous voulez vous l’envoyer\u00a0:",
		InstallThere:  "Installez-y {{client}}, s’il n’y est pas déjà (une autre version n’ouvre pas ce lien)\u00a0:",
		HereAfterAll:  "Si Parsec est malgré tout sur cet appareil\u00a0:",
		Documentation: "Documentation\u00a0:",
	},
}
