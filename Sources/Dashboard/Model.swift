package import Fleet
package import Machine

/// Everything that the screen shows and decides, as a value. It takes an event and returns effects; it reads no clock,
/// writes nothing and knows no terminal. `render` draws it.
package struct Model: Sendable {
    package struct Configuration: Hashable, Sendable {
        /// What the program was started as; it decides which keys there are.
        package enum Purpose: Hashable, Sendable {
            case demo
            case watch
            /// The workers of this process do real work: leaving is asked for and Ctrl-Z is off.
            case consume
            case replay
        }

        package var purpose: Purpose
        /// Names for the theme picker.
        package var themes: [String]
        package var theme: String
        package var hasMouse: Bool

        package init(
            purpose: Purpose, themes: [String] = BundledThemes.names, theme: String = BundledThemes.standard,
            hasMouse: Bool = true
        ) {
            self.purpose = purpose
            self.themes = themes
            self.theme = theme
            self.hasMouse = hasMouse
        }
    }

    package let configuration: Configuration
    package internal(set) var width: Int
    package internal(set) var height: Int
    /// The newest time that was told.
    package internal(set) var now: Timestamp

    /// The newest snapshot, also while the picture is frozen.
    var live: FleetSnapshot?
    /// The picture that is explored while newer ones arrive.
    var frozen: FleetSnapshot?
    /// The moment of the past that is shown instead.
    var past: Past?
    var bookmarks = Bookmarks()
    var outage: Outage?
    var caption: Caption?
    var demo: DemoStatus?

    var focus = Pane.shards
    var isZoomed = false
    var hidden: Set<Pane> = []
    var recent: [Pane] = [.shards, .hashKeys, .workers, .events, .lineage, .problems]
    var detail: Detail?
    /// The protocol with a child, in place of panes and detail.
    var trace: Trace?
    var overlay: Overlay?
    var status: StatusLine?

    var sort = RowOrder.standard
    var filters: [Pane: RowFilter] = [:]
    var showsChatter = false
    /// `LeaseView.id` of the shard that actions are about, in whichever pane it was chosen.
    var selectedLease: String?
    /// Leases, by their `LeaseView.id`, that an action is about together.
    var marked: Set<String> = []
    var lists: [Pane: ListState] = [:]
    /// What the panes list, worked out once for a snapshot, a filter or an order.
    var rows = Rows()
    /// Which colour each worker has; kept while it is around, so that it never changes under the eye.
    var ownerIndexes: [String: Int] = [:]

    var theme: String
    var isMouseOn: Bool
    var commandHistory: [String] = []
    /// A plan is being made or performed; another waits for the person, not in a queue.
    var isBusy = false
    /// The plan that is being made was given up; it is not shown when it comes.
    var isPlanUnwanted = false

    package init(_ configuration: Configuration, width: Int, height: Int, now: Timestamp) {
        self.configuration = configuration
        self.width = width
        self.height = height
        self.now = now
        theme = configuration.theme
        isMouseOn = configuration.hasMouse
    }

    /// The picture that is shown: that of the past, or the frozen one if there is one.
    package var snapshot: FleetSnapshot? { past?.shown ?? frozen ?? live }

    package var isFrozen: Bool { frozen != nil }

    /// The theme to draw with, as the person chose it.
    package var themeName: String { theme }
}

/// A position in a list: by identity first, so that it stays with its line when lines move.
struct ListState: Hashable, Sendable {
    var id: String?
    var index = 0
    var offset = 0
}

/// What cannot be read, since when, and when it is tried again.
struct Outage: Hashable, Sendable {
    var message: String
    var retryAt: Timestamp?
}

/// A sentence in place of the key hints, for a while.
struct StatusLine: Hashable, Sendable {
    var severity: Severity?
    var text: String
    var until: Timestamp
}

/// The view of one shard.
struct Detail: Hashable, Sendable {
    var lease: String
    var offset = 0
}

/// Something in front of the panes that takes the keys.
enum Overlay: Hashable, Sendable {
    case help(offset: Int)
    /// A text longer than a line: its title and paragraphs.
    case note(title: String, paragraphs: [String], offset: Int)
    case input(Prompt)
    case picker(Picker)
    case question(Question)
    /// A plan whose record is being looked up in the stream.
    case waiting(String)
    /// A set of plans that is under way.
    case performing(Performing)
}

/// A line that is being typed at the foot of the screen.
struct Prompt: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// Filters a pane while it is typed; `earlier` comes back on Esc.
        case filter(Pane, earlier: RowFilter?)
        case command
        /// Where leases, by their `LeaseView.id`, shall be read from.
        case rewind(leases: [String])
    }

    var kind: Kind
    var input: TextInput
    var completions: [String] = []
    var selectedCompletion: Int?
    /// What was typed before a completion or the history replaced it.
    var typed: String = ""
    /// The position in the history, counted from its end; 0 is the line being typed.
    var historyIndex = 0
}

/// A choice from a list.
struct Picker: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// `earlier` comes back on Esc.
        case theme(earlier: String)
        case stealTo(lease: String)
        case assignTo(lease: String)
        case stealMarked
        case mergeWith(shard: String)
    }

    var kind: Kind
    var title: String
    var choices: [String]
    var selection = 0
}

/// A question that is answered with yes or no.
struct Question: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        case plan(Plan)
        case plans(PlanSet)
        case quit
    }

    var kind: Kind
    var isYesSelected = true
    var offset = 0
    /// What is typed so far, where a plan wants more than a yes.
    var input: TextInput?
}
