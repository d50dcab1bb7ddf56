package ctl

import (
	"encoding/json"
	"time"
)

// OverlayKind says how an overlay's content comes about.
type OverlayKind string

// The kinds of overlays.
const (
	OverlayWorkshop OverlayKind = "workshop" // items of the Steam workshop
	OverlayScript   OverlayKind = "script"   // a bash recipe, run in a sandbox
	OverlayFiles    OverlayKind = "files"    // uploads
	OverlayManaged  OverlayKind = "managed"  // a recipe that is shipped with left4me
)

// OverlaySpec is what `l4d2ctl overlay build ID -f overlay.yaml` takes: what the
// next version of an overlay is made of. Fields that do not belong to its kind
// must be absent. The host checks every value as if its author were hostile; see
// hostops.ParseOverlaySpec for the rules.
type OverlaySpec struct {
	Kind OverlayKind `json:"kind" yaml:"kind"`
	// By and Why are kept in the version's manifest: who asked, and what for.
	By  string `json:"by,omitempty" yaml:"by,omitempty"`
	Why string `json:"why,omitempty" yaml:"why,omitempty"`

	// Items are workshop item numbers. Each one's newest version in the store is
	// linked; one that is not in the store is left out with a finding. Fetch asks
	// Steam for what is missing or outdated first.
	Items []string `json:"items,omitempty" yaml:"items,omitempty"`
	Fetch bool     `json:"fetch,omitempty" yaml:"fetch,omitempty"`

	// Script is a bash script. It runs in an empty folder, which becomes the
	// version. Limits bound it while it runs.
	Script string      `json:"script,omitempty" yaml:"script,omitempty"`
	Limits BuildLimits `json:"limits,omitzero" yaml:"limits,omitempty"`

	// Recipe names a shipped script, Options are its choices.
	Recipe  string            `json:"recipe,omitempty" yaml:"recipe,omitempty"`
	Options map[string]string `json:"options,omitempty" yaml:"options,omitempty"`

	// Base is the version that Changes start from; 0 is an empty folder. From is
	// an operator's own folder whose content is taken instead of a base.
	Base    int64        `json:"base,omitempty" yaml:"base,omitempty"`
	From    string       `json:"from,omitempty" yaml:"from,omitempty"`
	Changes []FileChange `json:"changes,omitempty" yaml:"changes,omitempty"`

	// Admit lists refused files, by the SHA-256 of their content in hex, that an
	// administrator lets in all the same.
	Admit []string `json:"admit,omitempty" yaml:"admit,omitempty"`
}

// Encode renders the spec as JSON, which is YAML as well.
func (s OverlaySpec) Encode() ([]byte, error) { return json.Marshal(s) }

// BuildLimits bound a script while it runs. A zero takes the host's own limit,
// which is also the most that can be asked for.
type BuildLimits struct {
	Seconds  int64 `json:"seconds,omitempty" yaml:"seconds,omitempty"`
	MemoryMB int64 `json:"memory_mb,omitempty" yaml:"memory_mb,omitempty"`
	DiskMB   int64 `json:"disk_mb,omitempty" yaml:"disk_mb,omitempty"`
}

// FileOp is one kind of change to a folder tree.
type FileOp string

// The changes. Paths are relative to the overlay, with forward slashes.
const (
	FilePut    FileOp = "put"    // the upload becomes the file Path, or replaces it
	FileUnpack FileOp = "unpack" // the uploaded archive is unpacked into the folder Path
	FileMkdir  FileOp = "mkdir"
	FileMove   FileOp = "move" // Path becomes Target
	FileDelete FileOp = "delete"
)

// FileChange is one change, applied in order.
type FileChange struct {
	Op FileOp `json:"op" yaml:"op"`
	// Path may be empty where the content says where it belongs: put takes a .vpk
	// to left4dead2/addons, unpack looks at what the archive holds. For unpack "."
	// is the top.
	Path   string `json:"path" yaml:"path"`
	Target string `json:"target,omitempty" yaml:"target,omitempty"`
	// Upload is the id of a finished upload below uploads/, never a path. Name is
	// what the file was called, for messages and to recognise archives.
	Upload string `json:"upload,omitempty" yaml:"upload,omitempty"`
	Name   string `json:"name,omitempty" yaml:"name,omitempty"`
}

// Manifest describes one version of an overlay. It lies beside the version as
// overlays/ID/vN.json and stays when the version is collected, so that a number
// is never used again.
type Manifest struct {
	Version
	// Tree is every file and link, ordered by path. Folders are not listed unless
	// they are empty.
	Tree []ManifestFile `json:"tree,omitempty"`
}

// ManifestFile is one entry of a version.
type ManifestFile struct {
	Path   string `json:"path"`
	Size   int64  `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"` // hex; of regular files
	Link   string `json:"link,omitempty"`   // the target of a symbolic link
	Dir    bool   `json:"dir,omitempty"`    // an empty folder
	Exec   bool   `json:"exec,omitempty"`   // a file that may be run
}

// Version is what is known of a version without its file list.
type Version struct {
	Overlay   int64         `json:"overlay"`
	Number    int64         `json:"number"`
	Kind      OverlayKind   `json:"kind"`
	At        time.Time     `json:"at"`
	By        string        `json:"by,omitempty"`
	Why       string        `json:"why,omitempty"`
	Files     int           `json:"files"`
	Size      int64         `json:"size"`               // bytes of its regular files
	Previous  int64         `json:"previous,omitempty"` // the newest version before it; 0 for none
	Added     int           `json:"added"`              // paths, against Previous
	Changed   int           `json:"changed"`
	Removed   int           `json:"removed"`
	Same      bool          `json:"same,omitempty"` // a build came to what is there already: Number is that version
	Collected bool          `json:"collected,omitempty"`
	Campaigns []Campaign    `json:"campaigns,omitempty"`
	Findings  []Finding     `json:"findings,omitempty"` // at most MaxFindings
	Items     []VersionItem `json:"items,omitempty"`    // of a workshop overlay
	ServerCfg bool          `json:"server_cfg,omitempty"`
	Release   string        `json:"release,omitempty"` // what a recipe says it installed, such as "SourceMod 1.12.0-git7246"
	Used      []string      `json:"used,omitempty"`    // instances whose definition or running game names it; only overlay show and list
	Fault     string        `json:"fault,omitempty"`   // overlay verify: what is wrong with it now
}

// MaxFindings and MaxCampaigns bound what a version says about itself.
const (
	MaxFindings  = 500
	MaxCampaigns = 500
)

// VersionItem is a workshop item as a version holds it.
type VersionItem struct {
	ID    string `json:"id"`
	Title string `json:"title,omitempty"`
	Stamp string `json:"stamp"`
	Path  string `json:"path"` // of its file in the version
	Size  int64  `json:"size"`
}

// Verdict is what the gate says of a file.
type Verdict string

// The verdicts. A refused file is not in the version; see OverlaySpec.Admit.
const (
	VerdictOK      Verdict = "ok"
	VerdictWarning Verdict = "warning"
	VerdictRefused Verdict = "refused"
)

// Finding is one thing that the gate has to say.
type Finding struct {
	Path     string  `json:"path,omitempty"` // in the overlay; inside a VPK: addons/x.vpk!maps/y.bsp
	Verdict  Verdict `json:"verdict"`
	Code     string  `json:"code"`     // stable, such as "vpk.disguised"; the list is in hostops/vpk and hostops/overlay
	Sentence string  `json:"sentence"` // for people: what is wrong and what to do
	SHA256   string  `json:"sha256,omitempty"`
	Item     string  `json:"item,omitempty"` // the workshop item it belongs to
	Admitted bool    `json:"admitted,omitempty"`
}

// Campaign is a set of maps that can be played one after another.
type Campaign struct {
	Name   string `json:"name"`             // the mission's own, such as "L4D2C1"
	Title  string `json:"title"`            // for people
	Author string `json:"author,omitempty"` //
	File   string `json:"file,omitempty"`   // where it comes from; empty for the game's own
	Modes  []Mode `json:"modes"`
}

// Mode is a way to play a campaign: coop, versus, survival, scavenge, realism…
type Mode struct {
	Name     string    `json:"name"`
	Chapters []Chapter `json:"chapters"`
}

// Chapter is one map. Map is what +map and changelevel take: the mission's value,
// which may differ from the name of the .bsp.
type Chapter struct {
	Map   string `json:"map"`
	Title string `json:"title,omitempty"`
}

// Item is what is known of one workshop item or collection: `workshop info` and
// `workshop fetch` print one for each, and again when its state changes.
type Item struct {
	ID        string     `json:"id"`
	Title     string     `json:"title,omitempty"`
	State     ItemState  `json:"state"`
	Message   string     `json:"message,omitempty"`  // one sentence when it is not simply stored
	Children  []string   `json:"children,omitempty"` // of a collection, in its order
	Filename  string     `json:"filename,omitempty"` // as its author named it; never a path of ours
	Size      int64      `json:"size,omitempty"`     // bytes, as Steam says
	Updated   time.Time  `json:"updated,omitzero"`   // Steam's time_updated
	Stamp     string     `json:"stamp,omitempty"`    // the newest version in the store
	Image     bool       `json:"image,omitempty"`    // the store has workshop/ITEM/image
	Tags      []string   `json:"tags,omitempty"`
	Findings  []Finding  `json:"findings,omitempty"`
	Campaigns []Campaign `json:"campaigns,omitempty"`
	// Changed says that this run fetched a version the store did not have.
	Changed bool `json:"changed,omitempty"`
}

// ItemState is where an item stands.
type ItemState string

// The states of an item.
const (
	ItemCollection ItemState = "collection" // it only lists others
	ItemWanted     ItemState = "wanted"     // known, not fetched yet
	ItemStored     ItemState = "stored"     // the newest version is in the store
	ItemOutdated   ItemState = "outdated"   // an older version is in the store
	ItemGone       ItemState = "gone"       // removed or hidden; what the store has is kept
	ItemFailed     ItemState = "failed"     // Message says why
)

// Stack says what a game would see of the folder Dir: the entries of every layer,
// uppermost first, and which one wins.
type Stack struct {
	Dir     string       `json:"dir"`
	Layers  []StackLayer `json:"layers"` // uppermost first; the game's own files are the last, with an empty Ref
	Entries []StackEntry `json:"entries"`
	More    int          `json:"more,omitempty"`    // entries that were left out
	Shadows []StackEntry `json:"shadows,omitempty"` // files anywhere that hide others, at most 500
	Size    int64        `json:"size"`              // bytes of the overlays, without the game
}

// StackLayer is one layer of a stack.
type StackLayer struct {
	Ref   string `json:"ref"`
	Files int    `json:"files"`
	Size  int64  `json:"size"`
	Fault string `json:"fault,omitempty"` // why it could not be read
}

// StackEntry is one name. Layers are indexes into Stack.Layers: the first wins,
// the others are hidden (folders merge and hide nothing).
type StackEntry struct {
	Path   string `json:"path"`
	Dir    bool   `json:"dir,omitempty"`
	Size   int64  `json:"size,omitempty"`
	Link   string `json:"link,omitempty"` // the target of a version's symbolic link
	Layers []int  `json:"layers"`
}

// Recipe describes a script that is shipped with left4me.
type Recipe struct {
	Name    string         `json:"name"` // stable, such as "sourcemod"
	Title   string         `json:"title"`
	Text    string         `json:"text"` // what it brings, in a sentence or two
	From    string         `json:"from"` // the site it fetches from
	Options []RecipeOption `json:"options,omitempty"`
}

// RecipeOption is one choice of a recipe.
type RecipeOption struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Default string   `json:"default"`
	Choices []string `json:"choices,omitempty"` // empty: a text of at most 200 characters
}
