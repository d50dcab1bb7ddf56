package ctl

import "time"

// GameFolder is one folder of a server's files: what its game wrote there, or
// everything that it sees.
type GameFolder struct {
	Dir string `json:"dir"`
	// Layers are uppermost first: what the game wrote, what was generated, the
	// overlays, the game's own files. Of what the game wrote alone there is one.
	Layers  []GameLayer `json:"layers"`
	Entries []GameFile  `json:"entries"`
	More    int         `json:"more,omitempty"` // entries that were left out
	Cut     bool        `json:"cut,omitempty"`  // it has so many entries that not even all names were read
}

// GameLayer is one layer of a server's files. Ref is set for overlays only.
type GameLayer struct {
	Kind  GameLayerKind `json:"kind"`
	Ref   string        `json:"ref,omitempty"`
	Fault string        `json:"fault,omitempty"` // why it could not be read
}

// GameLayerKind says where a layer comes from.
type GameLayerKind string

// The kinds of layers.
const (
	LayerWritten   GameLayerKind = "written"   // by the game while it ran
	LayerGenerated GameLayerKind = "generated" // server.cfg and what it executes
	LayerOverlay   GameLayerKind = "overlay"
	LayerGame      GameLayerKind = "game" // the installation
)

// GameFile is one name in a folder. Its bytes are the game's own choice: they need
// not be text.
type GameFile struct {
	Path    string       `json:"path"`
	Kind    GameFileKind `json:"kind"`
	Size    int64        `json:"size,omitempty"`
	Changed time.Time    `json:"changed,omitzero"` // of what the game wrote
	Link    string       `json:"link,omitempty"`   // where a link leads; it is never followed
	// Closed says that the game lets nobody else read it.
	Closed bool `json:"closed,omitempty"`
	// Layers are indexes into GameFolder.Layers. The first one's is seen, the
	// others' are hidden (folders merge and hide nothing).
	Layers []int `json:"layers"`
}

// GameFileKind says what an entry is.
type GameFileKind string

// The kinds of entries.
const (
	GamePlain   GameFileKind = "file"
	GameDir     GameFileKind = "folder"
	GameLink    GameFileKind = "link"
	GameRemoved GameFileKind = "removed" // the game removed what lower layers have
	GameSpecial GameFileKind = "special" // a pipe, a socket or a device: never opened
)
