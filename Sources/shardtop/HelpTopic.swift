import ArgumentParser
import Dashboard

/// `shardtop help TOPIC`, where the topic is no command.
enum HelpTopic: String {
    case keys
    case man

    init?(_ arguments: [String]) {
        guard arguments.count == 3, arguments[1] == "help", let topic = HelpTopic(rawValue: arguments[2]) else {
            return nil
        }
        self = topic
    }

    var text: String {
        switch self {
        case .keys: KeyList.text()
        case .man: ManualPage(Shardtop._dumpHelp(), keys: KeyList.sections, version: Shardtop.version).text
        }
    }
}
