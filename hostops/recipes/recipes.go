// Package recipes holds the scripts that are shipped with left4me: what they
// bring, what can be chosen, and their text for the sandbox. A recipe fetches
// from its project's own site, or from the mirror that the operator named, and
// checks what came before it uses it.
//
// It knows nothing of how scripts are run. Start at All; each recipe is NAME.sh
// beside this file, and lib.sh comes before each of them.
package recipes

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"left4me/hostops/ctl"
)

//go:embed *.sh
var scripts embed.FS

// maxText bounds an option that is no choice, in characters.
const maxText = 200

// all is every recipe, in the order in which people see them.
var all = []ctl.Recipe{
	{
		Name: "sourcemod", Title: "SourceMod and Metamod:Source",
		Text: "The plug-in platform of nearly every modded server, in the newest build of the branch you choose, with your admins.",
		From: "sourcemod.net",
		Options: []ctl.RecipeOption{
			{Name: "branch", Title: "Branch", Default: "1.12", Choices: []string{"1.12", "1.11", "1.13"}},
			{Name: "admins", Title: "Steam ids of admins, such as STEAM_1:0:123, with blanks between", Default: ""},
		},
	},
	{
		Name: "tickrate", Title: "Tickrate Enabler",
		Text: "Lets the argument -tickrate have its effect, with rates that suit it. It needs Metamod, and the argument on the blueprint.",
		From: "github.com/accelerator74/Tickrate-Enabler",
		Options: []ctl.RecipeOption{
			{Name: "tickrate", Title: "Ticks a second that the rates are made for", Default: "60", Choices: []string{"60", "100", "30"}},
		},
	},
	{
		Name: "l4d2center", Title: "Maps of l4d2center",
		Text: "The custom campaigns that competitive servers agree on. A refresh fetches only what changed and removes what left the list.",
		From: "l4d2center.com",
	},
	{
		Name: "competitive-rework", Title: "L4D2 Competitive Rework",
		Text: "Zonemod and the other competitive modes with all the plug-ins they need. Stack it above SourceMod.",
		From: "github.com/SirPlease/L4D2-Competitive-Rework",
		Options: []ctl.RecipeOption{
			{Name: "version", Title: "Release, such as v1.2, or latest", Default: "latest"},
		},
	},
	{
		Name: "server-defaults", Title: "Plain server settings",
		Text: "A server.cfg with settings that suit a public server. Whatever a blueprint says comes after it.",
		From: "left4me itself",
		Options: []ctl.RecipeOption{
			{Name: "region", Title: "Region in Steam's list", Default: "255", Choices: []string{"255", "0", "1", "2", "3", "4", "5", "6", "7"}},
			{Name: "gametypes", Title: "Modes that players may pick, with commas", Default: "coop,realism,survival,versus,scavenge"},
		},
	},
}

// All lists the recipes.
func All() []ctl.Recipe {
	list := slices.Clone(all)
	for i := range list {
		list[i].Options = slices.Clone(list[i].Options)
	}
	return list
}

// Find finds a recipe by its name.
func Find(name string) (ctl.Recipe, bool) {
	for _, r := range All() {
		if r.Name == name {
			return r, true
		}
	}
	return ctl.Recipe{}, false
}

// Script is the whole text of a recipe for bash.
func Script(name string) (string, error) {
	lib, err := scripts.ReadFile("lib.sh")
	if err != nil {
		return "", fmt.Errorf("read the recipes' library: %w", err)
	}
	body, err := scripts.ReadFile(name + ".sh")
	if err != nil || name == "lib" {
		return "", fmt.Errorf("there is no recipe %q: %w", name, ctl.ErrBadSpec)
	}
	return string(lib) + "\n" + string(body), nil
}

// Environment is a recipe's options as the variables RECIPE_NAME that its script
// reads, with the defaults of those that were not chosen. What does not fit the
// recipe is ctl.ErrBadSpec.
func Environment(r ctl.Recipe, chosen map[string]string) ([]string, error) {
	known := map[string]bool{}
	var env []string
	for _, o := range r.Options {
		known[o.Name] = true
		value, given := chosen[o.Name]
		if !given {
			value = o.Default
		}
		if err := checkValue(r, o, value); err != nil {
			return nil, err
		}
		env = append(env, "RECIPE_"+strings.ToUpper(o.Name)+"="+value)
	}
	for name := range chosen {
		if !known[name] {
			return nil, fmt.Errorf("the recipe %s has no option %q: %w", r.Name, name, ctl.ErrBadSpec)
		}
	}
	return env, nil
}

func checkValue(r ctl.Recipe, o ctl.RecipeOption, value string) error {
	switch {
	case len(o.Choices) > 0 && !slices.Contains(o.Choices, value):
		return fmt.Errorf("the option %s of the recipe %s is one of %s, not %q: %w", o.Name, r.Name, strings.Join(o.Choices, ", "), value, ctl.ErrBadSpec)
	case utf8.RuneCountInString(value) > maxText:
		return fmt.Errorf("the option %s of the recipe %s may have at most %d characters: %w", o.Name, r.Name, maxText, ctl.ErrBadSpec)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return fmt.Errorf("the option %s of the recipe %s may not have control characters: %w", o.Name, r.Name, ctl.ErrBadSpec)
	}
	return nil
}
